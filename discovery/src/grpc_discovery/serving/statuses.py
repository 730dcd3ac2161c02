"""Errors that know their status. Raise them anywhere below a handler; the interceptor in common/server turns them into answers.

The message is one that may be shown to a person: existing clients show it verbatim (contract, section 2).
"""

from collections.abc import Mapping

from grpc import StatusCode


class ServiceError(Exception):
    """An error the caller is told about, with the status it travels under."""

    status = StatusCode.INTERNAL
    reason = "INTERNAL"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidArgument(ServiceError):
    """Bad input. `violations` names each bad field and what is wrong with it."""

    status = StatusCode.INVALID_ARGUMENT
    reason = "INVALID_ARGUMENT"

    def __init__(self, violations: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{field} {description}" for field, description in violations.items()))
        self.violations = dict(violations)


class NotFound(ServiceError):
    """The thing asked for does not exist."""

    status = StatusCode.NOT_FOUND
    reason = "NOT_FOUND"


class AlreadyExists(ServiceError):
    """The thing to be made is there already, or its name is taken."""

    status = StatusCode.ALREADY_EXISTS
    reason = "ALREADY_EXISTS"


class Unauthenticated(ServiceError):
    """Wrong credentials."""

    status = StatusCode.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"


class Unavailable(ServiceError):
    """The database is away, or did not answer in time. Nothing is known of a write that was under way."""

    status = StatusCode.UNAVAILABLE
    reason = "DATABASE_UNAVAILABLE"


class DeadlineExceeded(ServiceError):
    """The caller's deadline has passed."""

    status = StatusCode.DEADLINE_EXCEEDED
    reason = "DEADLINE_EXCEEDED"


class ResourceExhausted(ServiceError):
    """More work than this process takes on at once. Another instance may have room."""

    status = StatusCode.RESOURCE_EXHAUSTED
    reason = "OVERLOADED"
