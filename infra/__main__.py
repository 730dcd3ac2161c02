"""The commands behind `make`: `python3 -m infra COMMAND`.

Started by the machine's own Python with nothing but its standard library. Creates the virtual environment where it is missing, and
continues inside it.
"""

import errno
import os
import signal
import sys
from types import FrameType

from infra import jars, local, setup
from infra.errors import STOP_SIGNALS, InfraError, Stopped
from infra.layout import PYTHON, VENV

COMMANDS = {
    "run": "set up what is missing, start everything, show who comes and goes; Ctrl-C stops it all",
    "start": "the same in the background",
    "stop": "stop what `make start` (or `make run`) started",
    "status": "who serves where; exit code 0 only if all seven serve",
    "logs": "what a process printed: SERVICE=comments, schema, cassandra or etcd; FOLLOW=1 follows it",
    "scale": "run N instances of a service: SERVICE=comments N=4",
    "rolling-restart": "restart every instance, one after the other, while the rest serve: SERVICE=comments, or all",
    "test": "run every test, beside what runs; ARGS='tests/services -k page' for some",
    "test-fast": "run the tests that need neither etcd nor Cassandra nor any other process; ARGS=tests/services for some",
    "test-pythons": "the library's wheel and examples on each of Python 3.11 to 3.13 that is here; ARGS=discovery/tests for all its tests",
    "chaos": "do every fault of docs/advertising.md to real processes and measure; ARGS='--only killed --runs 20'",
    "fuzz": "send 100,000 forged paging tokens and 100,000 odd requests to all services; ARGS='--count 5000 --only tokens'",
    "bench": "what each call costs beside a bare floor server; ARGS='--calls GetVideo --rounds 3'",
    "load": "30 s of visitors who look around, against the running system (started if need be); ARGS='run hot-video --rate 80'",
    "load-scale": "the scaling story in three minutes: more instances, one killed, a rolling restart, a frozen Cassandra",
    "containers": "build the image and try every compose file, for real; needs Docker; TRIALS='desktop dns' for some",
    "check": "lint, format, types, import rules, and that all that is generated is current",
    "protos": "generate the Python code of the .proto files",
    "generate": "the same, and all that follows from common/catalogue.py",
    "setup": "only set up what is missing",
    "clean": "remove .local/: the virtual environment, Cassandra, etcd, all data and logs",
}

NEEDS_CASSANDRA = ("run", "start", "test", "chaos", "fuzz", "bench", "load", "load-scale", "setup")

OF_WHAT_RUNS = ("stop", "status", "logs", "scale", "rolling-restart")


def main() -> int:
    """Run the command named on the command line and return its exit code."""
    arguments = sys.argv[1:]
    command = arguments[0] if arguments else "help"
    for number in STOP_SIGNALS:
        signal.signal(number, _stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)  # blocked below, while one Python replaced the other
    try:
        if command == "help" or command not in COMMANDS:
            return _help(command)
        if command == "clean":
            return _clean()
        if command in OF_WHAT_RUNS and not setup.environment_is_ready():
            raise InfraError("nothing is set up here, so nothing runs: `make start` or `make run` sets up and starts")
        if command in NEEDS_CASSANDRA:
            jars.check_tools()
        with local.one_at_a_time():
            setup.set_up_environment()
        if sys.prefix != str(VENV):
            signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
            os.execv(PYTHON, [str(PYTHON), "-m", "infra", *arguments])
        # Only here, inside the virtual environment, can these be imported.
        from infra import commands

        return commands.run_command(command, arguments[1:])
    except Stopped:
        print("stopped", flush=True)
        return 130
    except InfraError as error:
        print(f"{command}: {error}", file=sys.stderr, flush=True)
        return 1
    except OSError as error:
        if error.errno in (errno.EPIPE, errno.EIO):
            return _nobody_reads()
        sentence = local.in_a_sentence(error)
        if sentence is None:
            raise
        print(f"{command}: {sentence}", file=sys.stderr, flush=True)
        return 1


def _stop(_number: int, _frame: FrameType | None) -> None:
    # The first request is enough: everything is being stopped in order, and a second Ctrl-C must not interrupt that.
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise Stopped


def _nobody_reads() -> int:
    """The pipe we print to, or the terminal, is gone: everything has been stopped on the way here, and nobody would read a message."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.dup2(nowhere, sys.stderr.fileno())
    return 1


def _help(command: str) -> int:
    if command != "help":
        print(f"there is no command {command!r}", file=sys.stderr)
    width = max(map(len, COMMANDS))
    print("\n".join(f"make {name:{width}}  {what}" for name, what in COMMANDS.items()))
    return 0 if command == "help" else 2


def _clean() -> int:
    from infra.lock import running_pid

    if pid := running_pid():
        raise InfraError(f"KillrVideo runs (process {pid}): `make stop` first")
    local.remove_local()
    return 0


if __name__ == "__main__":
    sys.exit(main())
