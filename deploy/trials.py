"""The trial of each compose file: brought up, used, scaled, stopped, and removed. Each returns what it measured."""

import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from common.catalogue import SERVICES
from deploy.deployment import (
    NAMES,
    bridge_address,
    contract,
    control,
    entries,
    expect,
    services_of,
    supervised,
    timed_stop,
    withdrawn,
)
from deploy.engine import IMAGE, ROOT, Compose, figures, run, wait_until
from deploy.entrypoint import EXAMPLE_PASSWORD

DEAD_NODE_SECONDS = 20
"""How long the ring of deploy/cluster.yaml may take to notice that a node was killed."""

Measured = dict[str, object]


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
    """compose.yaml: one container per service; three instances of one; a stop in time that removes the keys; data kept over down and up."""
    with Compose("desktop", "compose.yaml") as compose:
        up = compose.up()
        passed = contract(compose)
        video = compose.check("comments")["video"]
        expect(services_of(compose.keys("comments")) == NAMES, f"not all are advertised: {compose.keys('comments')}")

        scaled = compose.up("--no-recreate", "--scale", "comments=3")
        three = entries(compose, "comments", "CommentsService")
        expect(
            len(three) == 3 and len(set(three.values())) == 3,
            f"three instances do not have three keys and addresses: {three}",
        )
        compose.check("comments")

        stopped = timed_stop(compose)
        log = compose("logs", "--no-color", timeout=60)
        expect(
            len(re.findall(r"withdrawn: CommentsService/", log)) == 3,
            "not every instance of comments left the registry",
        )
        expect(withdrawn(log) == NAMES, "not every service left the registry")
        compose("up", "--detach", "--wait", "etcd", timeout=120)
        remaining = compose("run", "--rm", "--no-TTY", "client", "list", timeout=60)
        expect(not remaining.strip(), f"still advertised after the stop: {remaining}")
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
        changed = [name for name, state in before.items() if state[0] == "RUNNING" and after[name] != state]
        expect(not changed, f"starting one instance changed others: {changed}")
        control(compose, "stop", extra)
        expect(len(entries(compose, "backend", "CommentsService")) == 1, "the stopped instance is still advertised")
        stopped = timed_stop(compose)
        log = compose("logs", "--no-color", "backend", timeout=60)
        expect(withdrawn(log) == NAMES, "not every service left the registry")
        return {
            "up s": round(up),
            "contract": passed,
            "second instance in s": round(took, 1),
            "stop s": round(stopped, 1),
        }


def cloud() -> Measured:
    """deploy/cloud.yaml: refuses the example password; runs beside an etcd and a Cassandra that are not its own."""
    address = bridge_address()
    with Compose("elsewhere", "compose.yaml") as elsewhere, tempfile.TemporaryDirectory() as folder:
        elsewhere.up("etcd", "cassandra")
        # The network of the other deployment, where etcd and Cassandra are found by name.
        network = Path(folder) / "network.yaml"
        network.write_text(f"networks: {{default: {{external: true, name: {elsewhere.project}_default}}}}\n")
        secret = Path(folder) / "secrets" / "dse_password"
        secret.parent.mkdir(mode=0o755)
        secret.write_text(f"{EXAMPLE_PASSWORD}\n")
        environment = _cloud_settings(address, secret)
        with Compose("cloud", ROOT / "deploy/cloud.yaml", network, environment=environment) as compose:
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
            visible = run("docker", "inspect", compose("ps", "--quiet", "comments").strip()) + compose(
                "logs", "--no-color"
            )
            expect("one of our own" not in visible, "the password is in the container's settings or in its log")
            return {"up s": round(up), "refused": "the example password"}


def _cloud_settings(address: str, secret: Path) -> dict[str, str]:
    """The settings of deploy/cloud.yaml, with the password in the file `secret`."""
    return {
        "KILLRVIDEO_SERVICE_HOST": address,
        "KILLRVIDEO_ETCD": "etcd:2379",
        "KILLRVIDEO_DSE_CONTACT_POINTS": "cassandra",
        "KILLRVIDEO_DSE_USERNAME": "killrvideo",
        "KILLRVIDEO_LOGGING_FORMAT": "text",
        "KILLRVIDEO_SECRETS": str(secret.parent),
        "KILLRVIDEO_DSE_PASSWORD_FILE": "/run/secrets/dse_password",
    }


def dns() -> Measured:
    """deploy/dns.yaml: no etcd; callers look up names in DNS."""
    with Compose("dns", "deploy/dns.yaml") as compose:
        up = compose.up()
        passed = contract(compose)
        compose.check("comments")
        compose.up("--no-recreate", "--scale", "comments=3")
        found = compose("exec", "--no-TTY", "search", "python", "-c", _LOOK_UP, "comments").split()
        expect(len(found) == 3, f"the name of three instances has the addresses {found}")
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
            f"the keys are not those of the article: {keys}",
        )
        return {"up s": round(up), "stop s": round(timed_stop(compose), 1)}


def cluster() -> Measured:
    """deploy/cluster.yaml: one etcd member and one Cassandra node are killed; calls continue, and no acknowledged write is lost."""
    with Compose("cluster", "deploy/cluster.yaml", environment={"CASSANDRA_HEAP": "512M"}) as compose:
        up = compose.up(timeout=900)
        compose.check("comments")
        writer = compose.begin_check("comments", "--writing", "40")
        try:
            wait_until(
                lambda: writer.poll() is not None or compose.checks_running() > 0, 60, "the writer does not start"
            )
            time.sleep(5)  # calls are made before, between and after the two kills
            compose("kill", "etcd2")
            time.sleep(8)
            compose("kill", "cassandra2")
            printed, _ = writer.communicate(timeout=180)
        finally:
            writer.kill()
        calls = figures(printed.strip().splitlines())
        failed = calls["failed"]
        # Only writes to several tables may fail, until the ring knows that the node is dead.
        expect(set(failed) <= {"UNAVAILABLE", "DEADLINE_EXCEEDED"}, f"calls failed with other statuses: {failed}")
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
