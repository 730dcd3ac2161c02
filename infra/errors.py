"""How a command ends early: by a mistake that a person can correct, told in one sentence, or because it was asked to stop."""

import signal

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, `make stop`, and a terminal that was closed."""


class Stopped(BaseException):
    """SIGINT or SIGTERM asked us to stop. A BaseException, so that no `except Exception` on the way catches it."""


class InfraError(Exception):
    """A mistake, or something missing, that stops a command. Its text is the whole message."""
