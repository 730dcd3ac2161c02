"""A misspelt setting is told by every process of ours, with the name that was meant; names of others are left alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.setting_names import misspelled
from common.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]


def told(name: str, value: str = "x") -> list[str]:
    return misspelled(PREFIX, Settings.variables(), {name: value})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("KILLRVIDEO_ETDC", "KILLRVIDEO_ETCD"),
        ("KILLRVIDEO_ETDC_PORT", "KILLRVIDEO_ETCD_PORT"),
        ("KILLRVIDEO_LISTN_PORT", "KILLRVIDEO_LISTEN_PORT"),
        ("KILLRVIDEO_DSE_PASWORD_FILE", "KILLRVIDEO_DSE_PASSWORD_FILE"),
        ("KILLRVIDEO_LOGGING_LEVEL_FILE", "KILLRVIDEO_LOGGING_LEVEL"),
        ("KILLRVIDEO_PORT_OFSET", "KILLRVIDEO_PORT_OFFSET"),
        ("killrvideo_etcd", "KILLRVIDEO_ETCD"),
    ],
)
def test_a_misspelt_name_is_told_with_the_nearest_right_one(name: str, meant: str) -> None:
    assert told(name) == [f"{name} is not a setting and is ignored; did you mean {meant}?"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KILLRVIDEO_DSE_PASSWORD_FILE", "/run/secrets/password"),
        ("KILLRVIDEO_ETCD_PORT", "2379"),
        ("KILLRVIDEO_LOCAL", "/tmp/local"),
        ("KILLRVIDEO_TAG", "1"),
        ("KILLRVIDEO_UNHEARD_OF_FEATURE", "1"),
        ("HOME", "/root"),
        ("KILLRVIDEO_ETCD_SERVICE_HOST", "10.0.0.1"),
        ("KILLRVIDEO_ETCD_SERVICE_PORT", "2379"),
        ("KILLRVIDEO_ETCD_SERVICE_PORT_CLIENT", "2379"),
        ("KILLRVIDEO_CASSANDRA_PORT_9042_TCP_ADDR", "10.0.0.2"),
        ("KILLRVIDEO_PORT_8899_TCP", "tcp://10.0.0.3:8899"),
        ("KILLRVIDEO_LISTEN_PORTS_PORT", "tcp://10.0.0.3:8899"),
    ],
)
def test_right_names_and_those_of_others_are_left_alone(name: str, value: str) -> None:
    assert told(name, value) == []


@pytest.mark.processes
@pytest.mark.parametrize("module", ["services.comments", "client", "schema", "sampledata", "loadtest"])
def test_every_process_of_ours_says_so_once_at_its_start(module: str) -> None:
    # A wrong value beside it ends the process before it looks for anything.
    arguments = {"client": ["list"], "loadtest": ["run", "browse"]}.get(module, [])
    environment = {**os.environ, "KILLRVIDEO_ETDC": "10.0.75.1", "KILLRVIDEO_TTL": "long"}
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.count("KILLRVIDEO_ETDC is not a setting and is ignored; did you mean KILLRVIDEO_ETCD?") == 1
    assert "wrong setting KILLRVIDEO_TTL='long'" in done.stderr
