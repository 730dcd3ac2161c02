"""Docker as the trials use it: its command line, with bounded waits and errors that hold its output."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
IMAGE = "killrvideo-python:latest"
_POLL_SECONDS = 0.3


class EngineError(Exception):
    """Docker could not do what it was asked, or something did not happen in time."""


def run(*command: str, timeout: float = 120, environment: Mapping[str, str] | None = None, check: bool = True) -> str:
    """Run a command and return what it printed. Raises EngineError when it fails (unless `check` is off) or takes longer than `timeout`."""
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as error:
        raise EngineError(f"{command[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"`{' '.join(command)}` took longer than {timeout:.0f} s") from error
    if check and done.returncode:
        raise EngineError(
            f"`{' '.join(command)}` ended with {done.returncode}:\n{(done.stdout + done.stderr).strip()[-3000:]}"
        )
    return done.stdout if check else done.stdout + done.stderr


def missing() -> str | None:
    """Why no container can run here, in one sentence; None if containers can run."""
    for command, what in (
        ("docker version", "a Docker engine"),
        ("docker compose version", "Docker Compose, version 2"),
    ):
        try:
            run(*command.split(), timeout=20)
        except EngineError:
            return f"this needs {what}, and `{command}` finds none"
    return None


def wait_until(condition: Callable[[], bool], timeout: float, what: str) -> float:
    """Poll until `condition()` holds; returns the seconds that took. Raises EngineError saying `what` after `timeout` seconds."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > timeout:
            raise EngineError(f"{what}, after {timeout:.0f} s")
        time.sleep(_POLL_SECONDS)
    return time.monotonic() - began


@contextmanager
def image_removed_after(keep: bool) -> Iterator[None]:
    """Remove the image at the end, unless it was there before or `keep` is set."""
    was_there = bool(run("docker", "images", "--quiet", IMAGE).strip())
    try:
        yield
    finally:
        if not (keep or was_there):
            run("docker", "image", "rm", "--force", IMAGE, check=False)


class Compose:
    """One deployment: a compose file (with what a trial adds to it), brought up and removed again.

    It has a project name of its own, so that a deployment of the same file that somebody uses keeps its data.
    """

    def __init__(self, name: str, *files: str | Path, environment: Mapping[str, str] | None = None) -> None:
        self.project = f"killrvideo-trial-{name}"
        self.environment = dict(environment or {})
        self._command = ["docker", "compose", "--project-name", self.project]
        self._command += [part for file in files for part in ("--file", str(file))]

    def __call__(self, *arguments: str, timeout: float = 120, check: bool = True) -> str:
        """Run `docker compose ARGUMENTS` on this deployment and return what it printed."""
        return run(*self._command, *arguments, timeout=timeout, environment=self.environment, check=check)

    def __enter__(self) -> "Compose":
        """Remove what remains of an earlier trial."""
        self.remove()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the containers, networks and volumes of this deployment."""
        self.remove()

    def remove(self) -> None:
        """Remove all that belongs to this deployment, its data too."""
        self("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "5", timeout=180)

    def up(self, *arguments: str, timeout: int = 600) -> float:
        """Bring it up and wait for every health check; returns the seconds that took."""
        began = time.monotonic()
        try:
            self("up", "--detach", "--wait", "--wait-timeout", str(timeout), *arguments, timeout=timeout + 60)
        except EngineError as error:
            raise EngineError(f"{error}\n{self('logs', '--tail', '15', check=False)[-6000:]}") from error
        return time.monotonic() - began

    def check(self, service: str, *arguments: str, timeout: float = 180) -> dict[str, Any]:
        """Run deploy.check in a container beside `service`, with its settings; returns the figures of its last line."""
        printed = self(*self._check_command(service, arguments), timeout=timeout, check=False).strip().splitlines()
        return figures(printed)

    def begin_check(self, service: str, *arguments: str) -> "subprocess.Popen[str]":
        """The same in the background."""
        return subprocess.Popen(
            [*self._command, *self._check_command(service, arguments)],
            cwd=ROOT,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def checks_running(self) -> int:
        """How many checks run in containers now."""
        labels = (f"label=com.docker.compose.project={self.project}", "label=com.docker.compose.oneoff=True")
        return len(run("docker", "ps", "--quiet", "--filter", labels[0], "--filter", labels[1]).split())

    @staticmethod
    def _check_command(service: str, arguments: Sequence[str]) -> list[str]:
        return ["run", "--rm", "--no-deps", "--no-TTY", service, "check", *arguments]

    def keys(self, service: str) -> dict[str, str]:
        """The entries of etcd's v2 API as existing clients read them: `<ServiceName>/<instance>` -> address. They are read in a container of `service`."""
        answer = self("exec", "--no-TTY", service, "python", "-c", _READ_KEYS, timeout=60)
        entries: dict[str, str] = json.loads(answer)
        return entries


def figures(printed: Sequence[str]) -> dict[str, Any]:
    """The figures in the last line of what a check printed. Raises EngineError if it found something wrong, or printed none."""
    try:
        found: dict[str, Any] = json.loads(printed[-1])
    except (IndexError, ValueError) as error:
        raise EngineError("the check printed no figures:\n" + "\n".join(printed[-20:])) from error
    if "wrong" in found:
        raise EngineError("the check found: " + found["wrong"])
    return found


# Run in a container, where etcd's name resolves; this works also where the machine cannot reach containers by address.
_READ_KEYS = """
import json, os, urllib.request
etcd = os.environ["KILLRVIDEO_ETCD"].split(",")[0]
with urllib.request.urlopen(f"http://{etcd}/v2/keys/killrvideo/services?recursive=true", timeout=10) as answer:
    root = json.load(answer)["node"]
entries = {}
for service in root.get("nodes", []):
    for entry in service.get("nodes", []):
        entries["/".join(entry["key"].split("/")[-2:])] = entry["value"]
print(json.dumps(entries))
"""
