"""How often videos are played."""
