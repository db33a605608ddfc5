"""Fidelity: how much of what was ever observed can still be recalled."""
