# Written by `make generate` from common/catalogue.py; edit that.
"""The videos: submitting them and listing them."""
