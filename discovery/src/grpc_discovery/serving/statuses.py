"""Errors that know their status. Raise them anywhere below a handler; the interceptor (handlers.py) turns them into answers.

The message reaches the caller as it is, so it is one that may be shown to a person. `reason` is what programs read, in
google.rpc.ErrorInfo: the status' name, where a subclass gives none of its own.
"""

from collections.abc import Mapping

from grpc import StatusCode


class ServiceError(Exception):
    """An error that the caller is told about, with the status it travels under."""

    status = StatusCode.INTERNAL
    reason = "INTERNAL"

    def __init_subclass__(cls) -> None:
        if "status" in vars(cls) and "reason" not in vars(cls):
            cls.reason = cls.status.name

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidArgument(ServiceError):
    """Bad input. `violations` maps each bad field to what is wrong with it; the caller gets them as google.rpc.BadRequest."""

    status = StatusCode.INVALID_ARGUMENT

    def __init__(self, violations: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{field} {description}" for field, description in violations.items()))
        self.violations = dict(violations)


class NotFound(ServiceError):
    """The thing asked for does not exist."""

    status = StatusCode.NOT_FOUND


class AlreadyExists(ServiceError):
    """The thing to be made is there already, or its name is taken."""

    status = StatusCode.ALREADY_EXISTS


class Unauthenticated(ServiceError):
    """Wrong credentials, or none."""

    status = StatusCode.UNAUTHENTICATED


class PermissionDenied(ServiceError):
    """The caller is known and may not do this."""

    status = StatusCode.PERMISSION_DENIED


class FailedPrecondition(ServiceError):
    """The system is not in the state that the call needs; to repeat the call does not help."""

    status = StatusCode.FAILED_PRECONDITION


class Unavailable(ServiceError):
    """Something that the call needs is away, or did not answer in time. Nothing is known of a write that was under way."""

    status = StatusCode.UNAVAILABLE


class DeadlineExceeded(ServiceError):
    """The caller's deadline has passed."""

    status = StatusCode.DEADLINE_EXCEEDED


class ResourceExhausted(ServiceError):
    """More work than this process takes on at once. Another instance may have room."""

    status = StatusCode.RESOURCE_EXHAUSTED
    reason = "OVERLOADED"
