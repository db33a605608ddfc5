"""Extractors: from the text of an event to the claims it makes."""
