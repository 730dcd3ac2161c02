"""Comments that users leave on videos."""
