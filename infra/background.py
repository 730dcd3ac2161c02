"""`make start` and `make stop`: the system in the background."""

import os
import signal
import subprocess
import time

from infra import machine
from infra.errors import InfraError
from infra.layout import LOGS, PYTHON, ROOT
from infra.lock import require_not_running, running_pid
from infra.progress import say
from infra.run import READY
from infra.setup import set_up

# Longer than the 20 s that stopping takes at most.
_STOP_SECONDS = 30.0


def start() -> int:
    """Start `run` in the background and show what it says until everything serves."""
    machine.load_settings()
    require_not_running()
    set_up()
    LOGS.mkdir(parents=True, exist_ok=True)
    READY.unlink(missing_ok=True)
    log = LOGS / "run.log"
    with log.open("wb") as output:
        child = subprocess.Popen(
            [str(PYTHON), "-m", "infra", "run"],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        with log.open(encoding="utf-8", errors="replace") as lines:
            while True:
                ready, ended = READY.exists(), child.poll() is not None
                print(lines.read(), end="", flush=True)
                if ready:
                    say("running in the background: `make status`, `make logs SERVICE=comments`, `make stop`")
                    return 0
                if ended:
                    return child.returncode or 1
                time.sleep(0.1)
    except BaseException:
        child.terminate()
        child.wait()
        raise


def stop() -> int:
    """Ask what runs to stop, and return when it has; raise InfraError when that takes too long."""
    pid = running_pid()
    if pid is None:
        say("KillrVideo does not run")
        return 0
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        pass  # it has just ended by itself
    except PermissionError:
        raise InfraError(f"process {pid} belongs to another user: stop it as that user") from None
    started_at = time.monotonic()
    while running_pid() == pid:
        if time.monotonic() - started_at > _STOP_SECONDS:
            raise InfraError(f"process {pid} has not stopped after {_STOP_SECONDS:.0f} s")
        time.sleep(0.1)
    say(f"stopped in {time.monotonic() - started_at:.1f} s")
    return 0
