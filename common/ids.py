"""Ids: UUIDs in messages, and the orders in which Cassandra keeps them."""

from uuid import UUID

from protos.common_pb2 import TimeUuid, Uuid

NIL = UUID(int=0)


def uuid_message(value: UUID | str | None) -> Uuid:
    """A Uuid message, in lower case; all zeros where a row of another tool lacks the id, because every id in an answer is set."""
    return Uuid(value=str(value or NIL))


def time_uuid_message(value: UUID) -> TimeUuid:
    """A TimeUuid message, in lower case."""
    return TimeUuid(value=str(value))


def cassandra_time_uuid_order(value: UUID) -> tuple[int, bytes]:
    """A sort key that orders version-1 UUIDs as a timeuuid column does: by time, then the last eight bytes as signed ones."""
    return value.time, bytes(byte ^ 0x80 for byte in value.bytes[8:])


def cassandra_uuid_order(value: UUID) -> tuple[int, int, bytes]:
    """A sort key that orders UUIDs as a uuid column does: by version, version 1 by its time, then by bytes."""
    version = value.bytes[6] >> 4
    return version, value.time if version == 1 else 0, value.bytes
