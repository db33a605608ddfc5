"""The demo: a real stream in a budget too small for it, questions with known evidence, a report."""
