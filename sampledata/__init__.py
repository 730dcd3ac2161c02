"""Data to try KillrVideo with, and `python -m sampledata`, which loads it, or larger sets, by the services' own calls."""
