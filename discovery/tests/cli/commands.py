"""Running `python -m grpc_discovery.cli` as a person (on a terminal) or as a script (in a pipe)."""

import asyncio
import os
import pty
import sys
from asyncio.subprocess import Process
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import pytest

from grpc_discovery.cli.main import main

COMMAND = (sys.executable, "-m", "grpc_discovery.cli")


class Done(NamedTuple):
    """What came of a command."""

    code: int
    out: str
    err: str


def environment(settings: dict[str, str]) -> dict[str, str]:
    """Nothing of ours but the path."""
    return {"PATH": "/usr/bin:/bin", "TERM": "xterm", **settings}


async def begin(*words: str, stdout: Any = -1, **settings: str) -> Process:
    """Start a command; its output can be read."""
    return await asyncio.create_subprocess_exec(
        *COMMAND, *words, env=environment(settings), stdin=-1, stdout=stdout, stderr=-1
    )


async def run(*words: str, stdin: str = "", **settings: str) -> Done:
    """Run a command to its end."""
    process = await begin(*words, **settings)
    async with asyncio.timeout(30):
        out, err = await process.communicate(stdin.encode())
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())


def mistaken(words: Sequence[str], capfd: pytest.CaptureFixture[str]) -> Done:
    """Use it wrongly, in this process: what stands in the environment counts."""
    try:
        code = main(words)
    except SystemExit as refused:
        code = int(refused.code or 0)
    return Done(code, *capfd.readouterr())


async def on_terminal(*words: str, columns: int, until: str = "", **settings: str) -> str:
    """What a terminal of so many columns is sent; to the end of the command, or until a text has come and Ctrl-C is pressed."""
    ours, theirs = pty.openpty()
    process = await begin(*words, stdout=theirs, COLUMNS=str(columns), LINES="40", **settings)
    os.close(theirs)
    seen = ""
    async with asyncio.timeout(30):
        with suppress(OSError):  # so the end of a terminal is told
            while part := await asyncio.to_thread(os.read, ours, 65536):
                seen += part.decode()
                if until and until in seen:
                    process.send_signal(2)
                    until = ""
        _, err = await process.communicate()
    os.close(ours)
    assert process.returncode in (0, 130), err
    return seen.replace("\r\n", "\n")
