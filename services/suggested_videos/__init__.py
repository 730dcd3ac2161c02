"""Videos like another one, and videos for a person."""
