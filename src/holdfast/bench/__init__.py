"""Measurements: public data in, figures out. Nothing here runs unless asked for.

`datasets` reads streams and questions, `systems` wraps what is measured, `scorers` defines every
metric, and `recall`, `write`, `stream` and `peers` each answer one question with a number.
"""
