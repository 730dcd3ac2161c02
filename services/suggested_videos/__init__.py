# Written by `make generate` from common/catalogue.py; edit that.
"""Videos like another one, and videos for a person."""
