"""The one error that is KillrVideo's own; all others are grpc_discovery's (serving/statuses)."""

from grpc_discovery.serving import statuses


class Unavailable(statuses.Unavailable):
    """The database is away, or did not answer in time. Nothing is known of a write that was under way."""

    reason = "DATABASE_UNAVAILABLE"
