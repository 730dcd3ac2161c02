"""The tables of the keyspace: killrvideo.cql says which there are, `python -m schema` makes the database have them."""
