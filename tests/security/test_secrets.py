"""Secrets come from files, and are not told: in no log at any level, no list of processes, no help text, no registry."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.layout import ROOT
from tests.processes import ServiceProcess

PROGRAMS = ["deploy.entrypoint", "schema", "sampledata", "client", "loadtest", "deploy", "deploy.check"]


def test_a_secret_is_in_no_log_no_process_list_and_no_registry(
    start_service: Callable[..., ServiceProcess], secret: tuple[str, Path]
) -> None:
    password, path = secret
    process = start_service(
        "comments",
        KILLRVIDEO_LOGGING_LEVEL="debug",
        KILLRVIDEO_DSE_USERNAME="somebody",
        KILLRVIDEO_DSE_PASSWORD_FILE=str(path),
        KILLRVIDEO_ETCD_USERNAME="somebody",
        KILLRVIDEO_ETCD_PASSWORD_FILE=str(path),
        KILLRVIDEO_PAGING_KEY_FILE=str(path),
    )
    with urllib.request.urlopen(f"http://{process.etcd}/v2/keys/?recursive=true", timeout=5) as answer:
        registry = json.dumps(json.load(answer))
    process.stop()
    assert process.exit_code == 0
    assert "CommentsService" in registry
    assert password not in registry
    assert "advertised as CommentsService" in process.log_text()
    assert password not in process.log_text()


def test_a_secret_of_a_running_process_is_not_in_its_command_line_or_environment(
    start_service: Callable[..., ServiceProcess], secret: tuple[str, Path]
) -> None:
    password, path = secret
    process = start_service("comments", KILLRVIDEO_DSE_USERNAME="somebody", KILLRVIDEO_DSE_PASSWORD_FILE=str(path))
    for name in ("cmdline", "environ"):
        shown = Path(f"/proc/{process.pid}/{name}").read_bytes()
        assert b"services.comments" in shown or b"KILLRVIDEO_DSE_PASSWORD_FILE" in shown
        assert password.encode() not in shown


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_help_text_holds_a_secret(program: str, secret: tuple[str, Path]) -> None:
    password, path = secret
    settings = {
        "KILLRVIDEO_DSE_PASSWORD": password,
        "KILLRVIDEO_ETCD_PASSWORD": password,
        "KILLRVIDEO_PAGING_KEY_FILE": str(path),
    }
    said = subprocess.run(
        [sys.executable, "-m", program, "--help"],
        cwd=ROOT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert "usage" in said.stdout.lower()
    assert password not in said.stdout + said.stderr


def test_a_wrong_setting_beside_a_secret_does_not_show_it(secret: tuple[str, Path]) -> None:
    password, path = secret
    settings = {
        "KILLRVIDEO_DSE_PASSWORD": password,
        "KILLRVIDEO_PAGING_KEY_FILE": str(path),
        "KILLRVIDEO_ETCD": "etcd:notaport",
        "KILLRVIDEO_GRPC_KEY": "/nowhere/key.pem",
    }
    said = subprocess.run(
        [sys.executable, "-m", "services.comments"],
        cwd=ROOT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert said.returncode == 2
    assert "KILLRVIDEO_ETCD" in said.stderr
    assert password not in said.stdout + said.stderr
