"""etcd and Cassandra for one machine, and the commands behind `make`."""
