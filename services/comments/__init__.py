# Written by `make generate` from common/catalogue.py; edit that.
"""Comments that users leave on videos."""
