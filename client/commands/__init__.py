"""What `python -m client` can do, one file a command."""
