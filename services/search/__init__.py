# Written by `make generate` from common/catalogue.py; edit that.
"""Finding videos by words, and suggesting words while one types."""
