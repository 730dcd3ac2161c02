"""etcd and Cassandra for one machine, and the commands behind `make`."""

import sys

# Here, because it is read first; and in words that every Python understands, because the person's python3 may be any.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit(
        "Python 3.11 or newer is needed, and this is %d.%d: start with a newer one, `make PYTHON=python3.11 run`"  # noqa: UP031
        % sys.version_info[:2]
    )
