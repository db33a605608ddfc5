"""Memories over HTTP: JSON, lines of JSON, events as they happen; MCP and the inspector beside it.

Needs the extra ``server``.
"""
