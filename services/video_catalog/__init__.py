"""The videos: submitting them and listing them."""
