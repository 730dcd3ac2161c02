"""The wire interface: .proto files and, beside each, the code generated from it by `make protos`."""
