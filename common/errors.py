"""The one error that is KillrVideo's own; all others are grpc_discovery's."""

import grpc_discovery


class Unavailable(grpc_discovery.Unavailable):
    """The database is away, or did not answer in time. Nothing is known of a write that was under way."""

    reason = "DATABASE_UNAVAILABLE"
