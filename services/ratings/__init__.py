# Written by `make generate` from common/catalogue.py; edit that.
"""The ratings of videos: one for each user and video, and their totals."""
