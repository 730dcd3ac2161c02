# Written by `make generate` from common/catalogue.py; edit that.
"""How often videos are played."""
