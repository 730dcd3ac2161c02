# Written by `make generate` from common/catalogue.py; edit that.
"""Who uses the site: creating users, checking their passwords, and their names."""
