"""Which command does what, inside the virtual environment."""

import os
import shlex
import subprocess
from collections.abc import Callable

from infra import background, checks, machine, pythons, run, scaling, status
from infra.errors import InfraError
from infra.layout import LOCAL, PYTHON, ROOT
from infra.lock import holder, running
from infra.progress import say
from infra.setup import set_up

Given = dict[str, str]
"""What stands after a command: SERVICE=comments N=4."""


def run_command(command: str, arguments: list[str]) -> int:
    """Do `command` (one of those in __main__) with what stands after it, and return the exit code."""
    given = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    commands: dict[str, Callable[[Given], int]] = {
        "run": _run,
        "start": lambda _: background.start(),
        "stop": lambda _: background.stop(),
        "status": lambda _: status.show_status(),
        "logs": lambda given: status.show_logs(given.get("SERVICE", ""), bool(given.get("FOLLOW"))),
        "scale": scaling.scale,
        "rolling-restart": scaling.rolling_restart,
        "test": lambda given: _become("pytest", given.get("ARGS", "")),
        "test-pythons": lambda given: pythons.test_pythons(shlex.split(given.get("ARGS", ""))),
        "chaos": lambda given: _become("tests.chaos", given.get("ARGS", "")),
        "bench": lambda given: _become("benchmarks", given.get("ARGS", "")),
        "load": lambda given: _load(given.get("ARGS", "") or "run browse"),
        "load-scale": lambda _: _load("run scaling"),
        "containers": lambda given: _become("deploy", given.get("TRIALS", "")),
        "check": lambda _: checks.run_checks(),
        "protos": lambda _: _generate("protos"),
        # The code of the .proto files first: what follows from the catalogue imports it.
        "generate": lambda _: _generate("protos") or _generate("deploy.generate"),
        "setup": _set_up,
    }
    return commands[command](given)


def _set_up(_given: Given) -> int:
    set_up()
    say(f"everything is set up in {LOCAL}")
    return 0


def _generate(module: str) -> int:
    return subprocess.run([str(PYTHON), "-m", module], cwd=ROOT, check=False).returncode


def _run(_given: Given) -> int:
    settings = machine.load_settings()
    with running():
        set_up()
        return run.run(settings)


def _load(arguments: str) -> int:
    """The load test against this machine's system, which is started in the background where it does not run."""
    settings = machine.load_settings()
    if holder() is None and background.start() != 0:
        raise InfraError("the system did not start, so there is nothing to load")
    environment = {**os.environ, **machine.service_environment(settings)}
    os.execve(PYTHON, [str(PYTHON), "-m", "loadtest", *shlex.split(arguments)], environment)


def _become(module: str, arguments: str) -> int:
    """Set up what is missing, and go on as `python -m module arguments`."""
    set_up()
    os.execv(PYTHON, [str(PYTHON), "-m", module, *shlex.split(arguments)])
