"""The entry point of `grpc-discovery` and `python -m grpc_discovery.cli`."""

import sys

from grpc_discovery.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
