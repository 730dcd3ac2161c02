"""The seven services. Each package has __main__ (starts it), servicer (the calls), repository (the CQL) and service (its names and parts)."""
