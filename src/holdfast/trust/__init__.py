"""Who said it, who may see it, and the proof that the log was not rewritten."""
