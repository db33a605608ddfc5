"""What is held true: beliefs, documents, automata, and how they change."""
