"""Retention: which entries stay within a budget, and at which tier. One policy per file."""
