"""What supervisord lacks: it exits with code 1 when a service crashes in a loop, and it marks each line of output with its instance.

Loaded by supervisord itself (an rpcinterface in supervisord.conf) rather than run beside it as an event listener: a listener could only
signal supervisord, which then exits with 0, and inside a container it cannot even kill it. Services wait for a slow database themselves and
do not exit, so whatever ends up here is a true crash loop: a setting that is wrong, a port that is taken, code that is broken.
"""

import atexit
import os
import sys
import time
from collections import defaultdict, deque
from typing import Any

from supervisor import events
from supervisor.states import SupervisorStates

FAILURES, FAILURE_SECONDS = 4, 300.0
"""So many exits of one instance with a code other than 0 within so many seconds are a crash loop, even where each run lasted long
enough to count as started: on a busy machine an instance may take a while to reach the point where it fails."""

DEATHS, DEATH_SECONDS = 8, 60.0
"""The same for deaths by a signal. More are allowed, because it may be a person who kills."""

MAX_LINE_BYTES = 65_536
"""A longer line is printed in pieces, so that output without an end of line takes no more memory than this."""


class CrashLoop:
    """Listens to supervisord's events from within."""

    def __init__(self, supervisord: Any) -> None:
        self._supervisord = supervisord
        self._failures: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=FAILURES))
        self._deaths: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=DEATHS))
        self._parts: defaultdict[str, bytes] = defaultdict(bytes)
        self._reason = ""
        events.subscribe(events.ProcessStateFatalEvent, self._fatal)
        events.subscribe(events.ProcessStateExitedEvent, self._exited)
        events.subscribe(events.ProcessLogStdoutEvent, self._output)

    def _fatal(self, event: Any) -> None:
        name = event.process.config.name
        self._end(f"{name} ends again and again right after its start")

    def _exited(self, event: Any) -> None:
        if event.expected:
            return
        name = event.process.config.name
        by_signal = event.process.exitstatus == -1
        times, seconds = (self._deaths[name], DEATH_SECONDS) if by_signal else (self._failures[name], FAILURE_SECONDS)
        times.append(time.monotonic())
        if len(times) == times.maxlen and times[-1] - times[0] < seconds:
            self._end(f"{name} crashed {len(times)} times within {seconds:.0f} s")

    def _end(self, reason: str) -> None:
        """Stop all instances in order, as a request to shut down does, and exit with 1 after that."""
        if self._reason:
            return
        self._reason = reason
        print(f"supervisord: {reason}; its lines above say why. Stopping all.", flush=True)
        self._supervisord.options.mood = SupervisorStates.SHUTDOWN
        # supervisord knows only the exit code 0; this is the last thing that its Python does.
        atexit.register(_exit_with_failure)

    def _output(self, event: Any) -> None:
        """Print whole lines, each with the name of its instance; in JSON as its first field, for the machine that reads it."""
        name = event.process.config.name
        *lines, rest = (self._parts[name] + event.data).split(b"\n")
        while len(rest) > MAX_LINE_BYTES:
            lines.append(rest[:MAX_LINE_BYTES])
            rest = rest[MAX_LINE_BYTES:]
        self._parts[name] = rest
        sys.stdout.buffer.write(b"".join(_named(name, line) + b"\n" for line in lines))
        sys.stdout.buffer.flush()


def _named(name: str, line: bytes) -> bytes:
    if line.startswith(b'{"'):
        return f'{{"instance": "{name}", '.encode() + line[1:]
    return f"{name} | ".encode() + line


def make(supervisord: Any, **_settings: str) -> CrashLoop:
    """Called by supervisord at its start."""
    return CrashLoop(supervisord)


def _exit_with_failure() -> None:
    sys.stdout.flush()
    os._exit(1)
