"""What a memory let go of: a book of losses, and the words that were lost."""
