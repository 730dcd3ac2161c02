"""Generated code: the part of etcd's messages that the registry uses."""
