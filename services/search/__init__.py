"""Finding videos by words, and suggesting words while one types."""
