"""What every service needs and none should write twice: settings, the database, the registry, errors, pages, and a process's life."""
