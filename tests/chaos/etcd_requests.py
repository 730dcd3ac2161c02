"""Requests to etcd over HTTP, independent of our own code."""

import json
import subprocess
import urllib.request
from typing import Any

from tests.chaos.world import SERVICE, World


def directory_exists(world: World) -> bool:
    """Whether the service has a directory; an empty one counts."""
    answer = subprocess.run(
        [
            "curl",
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            f"{world.etcd.url}/v2/keys/killrvideo/services/{SERVICE}",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout.strip() != "404"


def delete(world: World, path: str) -> None:
    request = urllib.request.Request(
        f"{world.etcd.url}/v2/keys/killrvideo/services/{path}?recursive=true", method="DELETE"
    )
    urllib.request.urlopen(request, timeout=2).close()


def entries_of(world: World, service: str) -> list[str]:
    try:
        with urllib.request.urlopen(f"{world.etcd.url}/v2/keys/killrvideo/services/{service}", timeout=2) as answer:
            return [node["value"] for node in json.load(answer)["node"].get("nodes", [])]
    except OSError:
        return []


def writes_done(world: World) -> int:
    """How many writes etcd has done since it started."""
    with urllib.request.urlopen(f"{world.etcd.url}/v2/stats/store", timeout=2) as answer:
        counts = json.load(answer)
    return sum(count for name, count in counts.items() if name.endswith("Success") and not name.startswith("gets"))


def forget_history(world: World, interface: str) -> None:
    """Make etcd discard the changes from which a watch could continue."""
    if interface == "etcd-v2":
        for number in range(1100):
            body = f"value={number}".encode()
            urllib.request.urlopen(
                urllib.request.Request(f"{world.etcd.url}/v2/keys/elsewhere", body, method="PUT"), timeout=5
            ).close()
        return
    revision = _v3(world, "kv/put", {"key": "eA==", "value": "eA=="})["header"]["revision"]
    _v3(world, "kv/compaction", {"revision": revision})


def _v3(world: World, path: str, body: dict[str, Any]) -> Any:
    """The answer of etcd's v3 interface in its JSON form."""
    request = urllib.request.Request(f"{world.etcd.url}/v3/{path}", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)
