"""The services. Each package has service (how it is put together), servicer (the calls) and repository (the CQL); its __main__ starts it."""
