"""How a command ends early: by a mistake that a person can put right, said in one sentence, or because it was asked to stop."""

import signal

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, `make stop`, and the terminal's window closed."""


class Stopped(BaseException):
    """SIGINT or SIGTERM asked us to stop. A BaseException, so that nothing on the way takes it for a failure of its own."""


class InfraError(Exception):
    """A mistake or a lack that stops a command. Its text is the whole message."""
