"""The trial of each compose file: brought up, used, scaled, stopped, and taken away. Each returns what it measured."""

import json
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path

from common.catalogue import SERVICES
from deploy.engine import IMAGE, ROOT, Compose, EngineError, figures, run, wait_until
from deploy.entrypoint import EXAMPLE_PASSWORD

STOP_SECONDS = 15.0
"""What `docker compose stop` may take."""

NAMES = set(SERVICES)

DEAD_NODE_SECONDS = 20
"""How long a killed node may go unnoticed by the ring of deploy/cluster.yaml."""

Measured = dict[str, object]


def expect(truth: object, what: str) -> None:
    """Raise EngineError with `what` unless `truth`."""
    if not truth:
        raise EngineError(what)


def image() -> Measured:
    """The image: built, its size and layers, its user, and what its entry point says."""
    began = time.monotonic()
    run("docker", "compose", "build", timeout=1200)
    seconds = time.monotonic() - began
    size = int(run("docker", "image", "inspect", "--format", "{{.Size}}", IMAGE)) / 1e6
    base = int(run("docker", "image", "inspect", "--format", "{{.Size}}", "python:3.11-slim")) / 1e6
    layers = run("docker", "image", "inspect", "--format", "{{len .RootFS.Layers}}", IMAGE).strip()
    user = run("docker", "image", "inspect", "--format", "{{.Config.User}}", IMAGE).strip()
    expect(user == "10001:10001", f"the image runs as {user}")
    usage = run("docker", "run", "--rm", "--read-only", IMAGE, "--help")
    expect(all(known.slug in usage for known in SERVICES.values()), "--help does not name every service")
    wrong = run("docker", "run", "--rm", "--read-only", IMAGE, "coments", check=False)
    expect("comments" in wrong and "all-in-one" in wrong, f"a wrong name does not list the right ones: {wrong}")
    tools = run(
        "docker", "run", "--rm", "--entrypoint", "sh", IMAGE, "-c", "command -v gcc make git curl || true"
    ).strip()
    expect(not tools, f"the image holds tools that nothing in it runs: {tools}")
    return {"built in s": round(seconds), "MB": round(size), "MB of its base": round(base), "layers": layers}


def desktop() -> Measured:
    """compose.yaml: one container per service; three instances of one; stopped in time with the keys gone; data kept over down and up."""
    with Compose("desktop", "compose.yaml") as compose:
        up = compose.up()
        passed = contract(compose)
        video = compose.check("comments")["video"]
        expect(services_of(compose.keys("comments")) == NAMES, f"not all are advertised: {compose.keys('comments')}")

        scaled = compose.up("--no-recreate", "--scale", "comments=3")
        three = entries(compose, "comments", "CommentsService")
        expect(
            len(three) == 3 and len(set(three.values())) == 3,
            f"three instances have not three keys and addresses: {three}",
        )
        compose.check("comments")

        stopped = timed_stop(compose)
        log = compose("logs", "--no-color", timeout=60)
        expect(
            len(re.findall(r"withdrawn: CommentsService/", log)) == 3,
            "not every instance of comments left the registry",
        )
        expect({name for name in NAMES if f"withdrawn: {name}/" in log} == NAMES, "not every service left the registry")
        compose("up", "--detach", "--wait", "etcd", timeout=120)
        left = compose("run", "--rm", "--no-TTY", "client", "list", timeout=60)
        expect(not left.strip(), f"still advertised after the stop: {left}")
        compose("down", "--timeout", "5", timeout=120)

        again = compose.up()
        compose.check("comments", "--video", video)
        return {
            "up s": round(up),
            "contract": passed,
            "scaled to 3 in s": round(scaled),
            "stop s": round(stopped, 1),
            "up again s": round(again),
        }


def single() -> Measured:
    """deploy/single.yaml: supervisord with all services; one more instance started and stopped by name, the others untouched."""
    with Compose("single", "deploy/single.yaml") as compose:
        up = compose.up()
        passed = contract(compose, "backend")
        compose.check("backend")
        expect(services_of(compose.keys("backend")) == NAMES, "not all are advertised")
        before = supervised(compose)
        extra = next(name for name, state in before.items() if "comments" in name and state[0] == "STOPPED")
        control(compose, "start", extra)
        took = wait_until(
            lambda: len(entries(compose, "backend", "CommentsService")) == 2,
            30,
            "the second instance is not advertised",
        )
        compose.check("backend")
        after = supervised(compose)
        moved = [name for name, state in before.items() if state[0] == "RUNNING" and after[name] != state]
        expect(not moved, f"starting one instance touched others: {moved}")
        control(compose, "stop", extra)
        expect(len(entries(compose, "backend", "CommentsService")) == 1, "the stopped instance is still advertised")
        stopped = timed_stop(compose)
        log = compose("logs", "--no-color", "backend", timeout=60)
        expect({name for name in NAMES if f"withdrawn: {name}/" in log} == NAMES, "not every service left the registry")
        return {
            "up s": round(up),
            "contract": passed,
            "second instance in s": round(took, 1),
            "stop s": round(stopped, 1),
        }


def cloud() -> Measured:
    """deploy/cloud.yaml: refuses the example password; runs beside an etcd and a Cassandra that are not its own."""
    address = bridge_address()
    settings = {
        "KILLRVIDEO_SERVICE_HOST": address,
        "KILLRVIDEO_ETCD": "etcd:2379",
        "KILLRVIDEO_DSE_CONTACT_POINTS": "cassandra",
        "KILLRVIDEO_DSE_USERNAME": "killrvideo",
        "KILLRVIDEO_LOGGING_FORMAT": "text",
    }
    with Compose("elsewhere", "compose.yaml") as elsewhere, tempfile.TemporaryDirectory() as folder:
        elsewhere.up("etcd", "cassandra")
        # The trial's own: where the existing etcd and Cassandra are found by name.
        network = Path(folder) / "network.yaml"
        network.write_text(f"networks: {{default: {{external: true, name: {elsewhere.project}_default}}}}\n")
        secrets = Path(folder) / "secrets"
        secrets.mkdir(mode=0o755)
        secret = secrets / "dse_password"
        secret.write_text(f"{EXAMPLE_PASSWORD}\n")
        settings |= {"KILLRVIDEO_SECRETS": str(secrets), "KILLRVIDEO_DSE_PASSWORD_FILE": "/run/secrets/dse_password"}
        with Compose("cloud", ROOT / "deploy/cloud.yaml", network, environment=settings) as compose:
            refused = compose("run", "--rm", "--no-TTY", "schema", check=False, timeout=60)
            expect(
                "KILLRVIDEO_DSE_PASSWORD" in refused and "example" in refused,
                f"the example password is not refused: {refused}",
            )
            secret.write_text("one of our own\n")
            compose("run", "--rm", "--no-TTY", "schema", timeout=180)
            up = compose.up()
            compose.check("comments")
            keys = compose.keys("comments")
            expect(services_of(keys) == NAMES, f"not all are advertised: {keys}")
            expect(
                keys[f"CommentsService/{address}:8101"] == f"{address}:8101",
                f"not advertised at this machine's address: {keys}",
            )
            shown = run("docker", "inspect", compose("ps", "--quiet", "comments").strip()) + compose(
                "logs", "--no-color"
            )
            expect("one of our own" not in shown, "the password is in the container's settings or in its log")
            return {"up s": round(up), "refused": "the example password"}


def dns() -> Measured:
    """deploy/dns.yaml: no etcd; callers look names up."""
    with Compose("dns", "deploy/dns.yaml") as compose:
        up = compose.up()
        passed = contract(compose)
        compose.check("comments")
        compose.up("--no-recreate", "--scale", "comments=3")
        found = compose("exec", "--no-TTY", "search", "python", "-c", _LOOK_UP, "comments").split()
        expect(len(found) == 3, f"the name of three instances stands for {found}")
        compose.check("comments")
        return {"up s": round(up), "contract": passed}


def classic() -> Measured:
    """deploy/classic.yaml: the article's seven keys at one address of the docker host."""
    address = bridge_address()
    with Compose("classic", "deploy/classic.yaml", environment={"KILLRVIDEO_DOCKER_IP": address}) as compose:
        up = compose.up()
        compose.check("backend")
        keys = {key: value for key, value in compose.keys("backend").items() if key.split("/")[0] in NAMES}
        expect(
            keys == {f"{name}/killrvideo-python": f"{address}:8899" for name in NAMES},
            f"these are not the article's keys: {keys}",
        )
        return {"up s": round(up), "stop s": round(timed_stop(compose), 1)}


def cluster() -> Measured:
    """deploy/cluster.yaml: one etcd member and one Cassandra node are killed; calls go on, and nothing acknowledged is lost."""
    with Compose("cluster", "deploy/cluster.yaml", environment={"CASSANDRA_HEAP": "512M"}) as compose:
        up = compose.up(timeout=900)
        compose.check("comments")
        writer = compose.begin_check("comments", "--writing", "40")
        try:
            wait_until(
                lambda: writer.poll() is not None or compose.checks_running() > 0, 60, "the writer does not start"
            )
            time.sleep(5)  # calls go on for a while before, between and after
            compose("kill", "etcd2")
            time.sleep(8)
            compose("kill", "cassandra2")
            printed, _ = writer.communicate(timeout=180)
        finally:
            writer.kill()
        calls = figures(printed.strip().splitlines())
        failed = calls["failed"]
        # Writes to several tables fail until the ring knows that the node is dead; nothing else does.
        expect(set(failed) <= {"UNAVAILABLE", "DEADLINE_EXCEEDED"}, f"calls failed in other ways: {failed}")
        expect(sum(failed.values()) <= DEAD_NODE_SECONDS * 10, f"calls failed for too long: {failed}")
        compose.check("comments")
        return {
            "up s": round(up),
            **{name: calls[name] for name in ("asked", "acknowledged", "lost")},
            "failed": sum(failed.values()),
        }


TRIALS: dict[str, Callable[[], Measured]] = {
    "image": image,
    "desktop": desktop,
    "single": single,
    "cloud": cloud,
    "dns": dns,
    "classic": classic,
    "cluster": cluster,
}


# Run in a container, where the names of compose resolve.
_LOOK_UP = "import socket, sys; print(*{found[4][0] for found in socket.getaddrinfo(sys.argv[1], None)})"


def contract(compose: Compose, container: str = "") -> str:
    """What pytest said last of the contract's tests, which the processes pass as well, on the ports that a deployment opens on this machine.

    Each service is in a container of its name, or all are in `container`. Raises EngineError with the failures.
    """
    present = compose("config", "--services").split()
    at: list[str] = []
    for name, known in SERVICES.items():
        inside = container or next(one for one in present if one.replace("-", "_") == known.slug)
        address = compose("port", inside, str(known.port)).strip()
        at += ["--at", f"{name}={address}"]
    said = run(sys.executable, "-m", "pytest", "tests/scenarios/test_contract.py", *at, timeout=900)
    return said.strip().splitlines()[-1]


def services_of(keys: dict[str, str]) -> set[str]:
    """The services that have an entry; Cassandra has one too."""
    return {key.split("/")[0] for key in keys} - {"cassandra"}


def entries(compose: Compose, inside: str, service: str) -> dict[str, str]:
    """The entries of one service."""
    return {key: value for key, value in compose.keys(inside).items() if key.startswith(f"{service}/")}


def timed_stop(compose: Compose) -> float:
    """Stop all containers; raises EngineError if that takes too long."""
    began = time.monotonic()
    compose("stop", timeout=120)
    seconds = time.monotonic() - began
    expect(seconds <= STOP_SECONDS, f"`docker compose stop` took {seconds:.1f} s, more than {STOP_SECONDS:.0f}")
    return seconds


def control(compose: Compose, *arguments: str) -> str:
    """What supervisorctl in the container says."""
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
    """An address of this machine that containers reach and that no other machine does: docker's bridge."""
    (settings,) = json.loads(run("docker", "network", "inspect", "--format", "{{json .IPAM.Config}}", "bridge"))
    # Some engines name the subnet alone; the bridge then has its first address.
    return str(settings.get("Gateway") or ip_network(settings["Subnet"])[1])


@contextmanager
def image_removed_after(keep: bool) -> Iterator[None]:
    """At the end the image goes as well, unless it was there before or is to be kept."""
    there = bool(run("docker", "images", "--quiet", IMAGE).strip())
    try:
        yield
    finally:
        if not (keep or there):
            run("docker", "image", "rm", "--force", IMAGE, check=False)
