"""`python -m grpc_discovery.cli`, which is `grpc-discovery`."""

import sys

from grpc_discovery.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
