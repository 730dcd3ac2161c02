"""The Dockerfile by the rules of a small and safe image, and what the image starts. That it builds and runs is tried by `make containers`."""

import asyncio
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from grpc_health.v1 import health as grpc_health
from grpc_health.v1 import health_pb2, health_pb2_grpc

from common.catalogue import SERVICES
from common.settings import PREFIX, Settings
from deploy import health
from deploy.entrypoint import COMMANDS, EXAMPLE_PASSWORD
from grpc_discovery.serving.server import bind, new_server
from infra.hashes import pins
from infra.layout import ROOT
from infra.ports import free_port
from tests.security.certificates import Authority


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, lines that go on joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = [line for line in re.sub(r"\\\n\s*", "", text).splitlines() if line.strip()]
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]


def test_the_dockerfile_names_its_syntax_first() -> None:
    assert (ROOT / "Dockerfile").read_text(encoding="utf-8").startswith("# syntax=docker/dockerfile:1\n")


def test_each_stage_is_a_tagged_slim_python() -> None:
    stages = [rest for name, rest in instructions() if name == "FROM"]
    assert len(stages) > 1
    assert all(re.fullmatch(r"python:3\.11-slim( AS \w+)?", stage) for stage in stages)


def test_what_starts_is_written_in_exec_form() -> None:
    for name, rest in instructions():
        if name in ("CMD", "ENTRYPOINT"):
            assert json.loads(rest)
        if name == "HEALTHCHECK":
            assert json.loads(rest.split("CMD", 1)[1])


def test_the_image_runs_as_a_user_of_its_own_given_by_number() -> None:
    users = [rest for name, rest in instructions() if name == "USER"]
    assert users == ["10001:10001"]
    names = [name for name, _ in instructions()]
    assert "RUN" not in names[names.index("USER") :]


def test_nothing_is_downloaded_but_packages_and_no_cache_is_kept() -> None:
    assert not [rest for name, rest in instructions() if name == "ADD"]
    for name, rest in instructions():
        if name == "RUN":
            assert not re.search(r"\b(curl|wget|apt-get|apk|git)\b", rest)
            assert "pip" not in rest or "--no-cache-dir" in rest


def test_the_final_stage_installs_from_the_wheels_alone() -> None:
    last = max(number for number, (name, _) in enumerate(instructions()) if name == "FROM")
    (install,) = (rest for name, rest in instructions()[last:] if name == "RUN" and "pip install" in rest)
    assert "--no-index" in install
    assert "requirements-dev" not in install


def test_what_is_downloaded_is_checked_against_its_hash() -> None:
    downloads = [
        rest
        for name, rest in instructions()
        if name == "RUN" and "pip " in rest and "--no-index" not in rest and "--no-deps" not in rest
    ]
    assert len(downloads) == 2
    assert all("--require-hashes" in rest and ".lock" in rest for rest in downloads)


def test_the_library_is_built_by_the_pinned_backend_without_looking_for_another() -> None:
    built = next(
        rest for name, rest in instructions() if name == "RUN" and "pip wheel" in rest and "/discovery" in rest
    )
    assert "--no-build-isolation" in built
    assert "--no-deps" in built
    chosen = next(rest for name, rest in instructions() if name == "RUN" and "backend.lock" in rest)
    wanted = set(re.findall(r"[\w-]+", re.search(r"\^\((.*?)\)==", chosen)[1]))  # type: ignore[index]
    pinned = {pin.partition("==")[0] for pin in pins(ROOT / "requirements-dev.lock")}
    assert "hatchling" in wanted
    assert wanted <= pinned


def test_no_secret_is_an_argument_or_a_setting_of_the_image() -> None:
    assert not [
        rest for name, rest in instructions() if name in ("ARG", "ENV") and re.search("PASSWORD|SECRET|KEY=", rest)
    ]


def test_the_build_sees_what_the_image_runs_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    let_in = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    for command in COMMANDS.values():
        package = command.arguments[0].split(".")[0]
        assert package in let_in | {"supervisor"}
    assert not let_in & {"tests", ".local", ".git", "docs"}


def test_every_command_of_the_image_can_be_started() -> None:
    for command in COMMANDS.values():
        found = importlib.util.find_spec(command.arguments[0])
        assert found is not None
        assert found.submodule_search_locations is None or importlib.util.find_spec(f"{command.arguments[0]}.__main__")
    assert {known.slug for known in SERVICES.values()} <= set(COMMANDS)


def entrypoint(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "deploy.entrypoint", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.processes
def test_help_lists_every_command() -> None:
    said = entrypoint("--help")
    assert said.returncode == 0
    assert all(f"  {name} " in said.stdout for name in COMMANDS)


@pytest.mark.processes
def test_a_wrong_name_lists_the_right_ones() -> None:
    said = entrypoint("coments")
    assert said.returncode == 2
    assert said.stderr == f"no such command: coments. There are: {', '.join(COMMANDS)}\n"


@pytest.mark.processes
@pytest.mark.parametrize("as_file", [False, True])
def test_the_password_of_the_example_is_refused(tmp_path: Path, as_file: bool) -> None:
    (tmp_path / "password").write_text(f"{EXAMPLE_PASSWORD}\n", encoding="utf-8")
    name, value = (
        ("KILLRVIDEO_DSE_PASSWORD_FILE", str(tmp_path / "password"))
        if as_file
        else ("KILLRVIDEO_DSE_PASSWORD", EXAMPLE_PASSWORD)
    )
    said = entrypoint("comments", **{name: value})
    assert said.returncode == 1
    assert "KILLRVIDEO_DSE_PASSWORD still has the value of the example" in said.stderr
    assert EXAMPLE_PASSWORD not in said.stderr


@pytest.mark.processes
def test_a_secret_that_cannot_be_read_is_said_with_who_must_be_able_to() -> None:
    said = entrypoint("comments", KILLRVIDEO_DSE_PASSWORD_FILE="/nowhere/password")
    assert said.returncode == 1
    assert "/nowhere/password" in said.stderr
    assert f"user {os.getuid()}" in said.stderr


def test_the_health_command_knows_every_service_and_its_port() -> None:
    assert {"services": 8899, "services.comments": 8101, "services.video_catalog": 8701}.items() <= health.PORTS.items()
    hosted = {COMMANDS[known.slug].arguments[0] for known in SERVICES.values()} | {COMMANDS["all-in-one"].arguments[0]}
    assert hosted == set(health.PORTS)


def process_table(folder: Path, **processes: str) -> Path:
    """A process table with one entry for each `module=KILLRVIDEO_LISTEN_PORT`."""
    for number, (module, port) in enumerate(processes.items(), 1):
        entry = folder / str(number)
        entry.mkdir(parents=True)
        (entry / "cmdline").write_text(f"python\0-m\0{module}\0", encoding="utf-8")
        (entry / "environ").write_text(f"PATH=/bin\0KILLRVIDEO_LISTEN_PORT={port}\0", encoding="utf-8")
    return folder


def test_health_finds_the_services_among_the_processes(tmp_path: Path) -> None:
    table = process_table(
        tmp_path, **{"services.comments": "8102", "services": "", "client": "", "services.unknown": ""}
    )
    assert {(process.module, process.port) for process in health.running(table)} == {
        ("services.comments", 8102),
        ("services", 8899),
    }


@asynccontextmanager
async def health_server(settings: Settings, port: int, status: str) -> AsyncIterator[None]:
    """A server that answers nothing but health checks, with this status."""
    server, _ = new_server(settings, "killrvideo")
    servicer = grpc_health.aio.HealthServicer()  # type: ignore[attr-defined]  # the stubs leave it out
    await servicer.set("", getattr(health_pb2.HealthCheckResponse, status))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    bind(server, settings, port)
    await server.start()
    try:
        yield
    finally:
        await server.stop(None)


@pytest.mark.parametrize(
    ("status", "said"), [("SERVING", None), ("NOT_SERVING", "services.comments on port {port} is NOT_SERVING")]
)
async def test_health_is_what_the_service_says(status: str, said: str | None) -> None:
    port = free_port()
    async with health_server(Settings.load(), port, status):
        # In a thread: the health command is a program of its own, and blocks.
        process = health.Running("services.comments", {"KILLRVIDEO_LISTEN_PORT": str(port)})
        assert await asyncio.to_thread(health.fault, process) == (said.format(port=port) if said else None)


@pytest.mark.parametrize("names", [("comments.example.org",), ("*.example.org", "localhost"), ("10.0.75.1",)])
@pytest.mark.parametrize("callers_show_theirs", [False, True])
async def test_health_gets_in_by_a_certificate_that_does_not_hold_127_0_0_1(
    tmp_path: Path, names: tuple[str, ...], callers_show_theirs: bool
) -> None:
    authority, port = Authority(tmp_path, "authority"), free_port()
    certificate = authority.sign("server", names=names)
    files = {"GRPC_CERTIFICATE": str(certificate.certificate), "GRPC_KEY": str(certificate.key)}
    if callers_show_theirs:
        files["GRPC_CLIENT_CA"] = str(authority.certificate)
    environment = {f"{PREFIX}{name}": value for name, value in {**files, "LISTEN_PORT": str(port)}.items()}
    async with health_server(Settings.from_environment(PREFIX, environment), port, "SERVING"):
        assert await asyncio.to_thread(health.fault, health.Running("services.comments", environment)) is None


def test_health_says_when_nothing_answers() -> None:
    port = free_port()
    process = health.Running("services.comments", {"KILLRVIDEO_LISTEN_PORT": str(port)})
    assert health.fault(process) == f"services.comments on port {port} does not answer: UNAVAILABLE"
