"""Who uses the site: creating users, checking their passwords, and their names."""
