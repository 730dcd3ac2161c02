"""The tables of the keyspace: killrvideo.cql defines them, `python -m schema` creates or upgrades them in the database."""
