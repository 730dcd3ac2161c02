"""The commands, inside the virtual environment."""

import os
import shlex
import subprocess
from collections.abc import Callable

from infra import background, checks, machine, pythons, run, scaling, status
from infra.arguments import read_arguments
from infra.errors import InfraError
from infra.layout import LOCAL, PYTHON, ROOT
from infra.lock import require_no_older_one, running, running_pid
from infra.progress import say
from infra.setup import set_up


def run_command(command: str, arguments: list[str]) -> int:
    """Do `command` (one of those in __main__) with its arguments (SERVICE=comments N=4), and return the exit code."""
    given = read_arguments(arguments, os.environ.get("MAKEFLAGS", ""))
    commands: dict[str, Callable[[], int]] = {
        "run": _run,
        "start": background.start,
        "stop": background.stop,
        "status": status.show_status,
        "logs": lambda: status.show_logs(given["SERVICE"], bool(given["FOLLOW"])),
        "scale": lambda: scaling.scale(given["SERVICE"], given["N"]),
        "rolling-restart": lambda: scaling.rolling_restart(given["SERVICE"]),
        "test": lambda: _become("pytest", given["ARGS"]),
        "test-fast": lambda: _test_fast(given["ARGS"]),
        "test-pythons": lambda: pythons.test_pythons(shlex.split(given["ARGS"])),
        "chaos": lambda: _become("tests.chaos", given["ARGS"]),
        "fuzz": lambda: _become("tests.fuzz", given["ARGS"]),
        "bench": lambda: _become("benchmarks", given["ARGS"]),
        "load": lambda: _load(given["ARGS"] or "run browse"),
        "load-scale": lambda: _load("run scaling"),
        "containers": lambda: _become("deploy", given["TRIALS"]),
        "check": checks.run_checks,
        "protos": lambda: _generate("protos"),
        # The code of the .proto files first: what follows from the catalogue imports it.
        "generate": lambda: _generate("protos") or _generate("deploy.generate"),
        "setup": _set_up,
    }
    return commands[command]()


def _set_up() -> int:
    set_up()
    say(f"everything is set up in {LOCAL}")
    return 0


def _test_fast(arguments: str) -> int:
    # Four at once also on two processors: most of these tests wait.
    fast = ["-m", "pytest", "-m", "not processes", "--numprocesses", "4", "--dist", "worksteal"]
    os.execv(PYTHON, [str(PYTHON), *fast, *shlex.split(arguments)])


def _generate(module: str) -> int:
    return subprocess.run([str(PYTHON), "-m", module], cwd=ROOT, check=False).returncode


def _run() -> int:
    settings = machine.load_settings()
    with running():
        require_no_older_one()
        set_up()
        return run.run(settings)


def _load(arguments: str) -> int:
    """The load test against this machine's system, which is started in the background where it does not run."""
    if running_pid() is None and background.start() != 0:
        raise InfraError("the system did not start, so there is nothing to load")
    settings = machine.settings_of_what_runs()
    environment = {**os.environ, **machine.service_environment(settings)}
    os.execve(PYTHON, [str(PYTHON), "-m", "loadtest", *shlex.split(arguments)], environment)


def _become(module: str, arguments: str) -> int:
    """Set up what is missing, and become `python -m module arguments`."""
    set_up()
    os.execv(PYTHON, [str(PYTHON), "-m", module, *shlex.split(arguments)])
