"""What a trial asks a running deployment, and does to it: entries in the registry, processes under supervisord, the stop."""

import json
import re
import sys
import time
from ipaddress import ip_network

from common.catalogue import SERVICES
from deploy.engine import Compose, EngineError, run

NAMES = set(SERVICES)

STOP_SECONDS = 15.0
"""What `docker compose stop` may take."""


def expect(truth: object, what: str) -> None:
    """Raise EngineError with `what` unless `truth`."""
    if not truth:
        raise EngineError(what)


def contract(compose: Compose, container: str = "") -> str:
    """Run the contract's tests, which the processes pass as well, on the ports that a deployment opens on this machine. Returns pytest's last line.

    Each service is in a container of its name, or all are in `container`. Raises EngineError with the failures.
    """
    present = compose("config", "--services").split()
    options: list[str] = []
    for name, service in SERVICES.items():
        host = container or next(name for name in present if name.replace("-", "_") == service.slug)
        address = compose("port", host, str(service.port)).strip()
        options += ["--at", f"{name}={address}"]
    output = run(sys.executable, "-m", "pytest", "tests/scenarios/test_contract.py", *options, timeout=900)
    return output.strip().splitlines()[-1]


def services_of(keys: dict[str, str]) -> set[str]:
    """The services that have an entry; Cassandra has one too."""
    return {key.split("/")[0] for key in keys} - {"cassandra"}


def entries(compose: Compose, container: str, service: str) -> dict[str, str]:
    """The entries of one service, read in `container`."""
    return {key: value for key, value in compose.keys(container).items() if key.startswith(f"{service}/")}


def withdrawn(log: str) -> set[str]:
    """The services whose log says that an instance has left the registry."""
    return set(re.findall(r"withdrawn: (\w+)/", log)) & NAMES


def timed_stop(compose: Compose) -> float:
    """Stop all containers and return the seconds that took. Raises EngineError if that takes longer than STOP_SECONDS."""
    began = time.monotonic()
    compose("stop", timeout=120)
    seconds = time.monotonic() - began
    expect(seconds <= STOP_SECONDS, f"`docker compose stop` took {seconds:.1f} s, more than {STOP_SECONDS:.0f}")
    return seconds


def control(compose: Compose, *arguments: str) -> str:
    """Run supervisorctl in the container and return its output."""
    return compose("exec", "--no-TTY", "backend", "supervisorctl", *arguments, timeout=60, check=False)


def supervised(compose: Compose) -> dict[str, tuple[str, str]]:
    """The instances under supervisord: name -> (state, process id)."""
    return {
        line.split()[0]: (line.split()[1], pid_in(line))
        for line in control(compose, "status").splitlines()
        if len(line.split()) > 1
    }


def pid_in(line: str) -> str:
    """The process id in a line of `supervisorctl status`; empty where there is none."""
    found = re.search(r"pid (\d+)", line)
    return found[1] if found else ""


def bridge_address() -> str:
    """An address of this machine that containers can reach and other machines cannot: docker's bridge."""
    (settings,) = json.loads(run("docker", "network", "inspect", "--format", "{{json .IPAM.Config}}", "bridge"))
    # Some engines give only the subnet; the bridge then has its first address.
    return str(settings.get("Gateway") or ip_network(settings["Subnet"])[1])
