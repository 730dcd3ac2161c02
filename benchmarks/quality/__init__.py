"""How good search and suggestions are, measured on public data through the running services. Needs `make start`; not part of `make test`."""
