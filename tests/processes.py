"""Service processes for tests: started as a person would start them, watched over the wire and in etcd."""

import base64
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from common import catalogue
from infra.layout import ROOT
from infra.ports import free_port
from infra.processes import Process

SERVICES = {known.slug: name for name, known in catalogue.SERVICES.items()}
"""Short name -> name in the registry."""

KEYS = "/killrvideo/services"


class ServiceProcess(Process):
    """`python -m services.<slug>`, or, with several slugs, `python -m services <slug> …`: one process on a port of its own.

    It is ready when its health says SERVING and all its names are advertised. Beside what a Process offers: `port`, `address`, `slugs`.
    """

    def __init__(
        self, slugs: str | Sequence[str], folder: Path, environment: Mapping[str, str], *, port: int | None = None
    ) -> None:
        """`environment` holds the KILLRVIDEO_ settings, KILLRVIDEO_ETCD among them; its log is a new file in `folder`."""
        self.slugs = [slugs] if isinstance(slugs, str) else list(slugs)
        self.port = port or free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.etcd = environment["KILLRVIDEO_ETCD"]
        module = [f"services.{slugs}"] if isinstance(slugs, str) else ["services", *slugs]
        super().__init__(
            f"{'+'.join(self.slugs)} on {self.port}",
            [sys.executable, "-m", *module],
            folder / f"{'+'.join(self.slugs)}-{self.port}.log",
            environment={**environment, "KILLRVIDEO_LISTEN_PORT": str(self.port)},
            folder=ROOT,
            stop_seconds=15.0,
        )

    def is_ready(self) -> bool:
        """Whether it serves and is advertised."""
        return serving(self.address) and all(
            self.address in advertised(self.etcd, SERVICES[slug]).values() for slug in self.slugs
        )


def serving(address: str, service: str = "", timeout: float = 1.0) -> bool:
    """Whether the server at `address` answers that `service` ('' for the whole) is SERVING."""
    with grpc.insecure_channel(address) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service=service), timeout=timeout
            )
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def advertised(etcd: str, service: str) -> dict[str, str]:
    """What etcd (`host:port`) holds for a service, instance -> address, read without our own code; {} also when etcd is away."""
    try:
        return _from_v2(etcd, service)
    except urllib.error.HTTPError as error:
        if error.code != 404 or "errorCode" in error.read().decode():
            return {}
    except OSError:
        return {}
    try:
        return _from_v3(etcd, service)
    except OSError:
        return {}


def _from_v2(etcd: str, service: str) -> dict[str, str]:
    with urllib.request.urlopen(f"http://{etcd}/v2/keys{KEYS}/{service}", timeout=2) as answer:
        nodes = json.load(answer)["node"].get("nodes", [])
    return {node["key"].rsplit("/", 1)[1]: node["value"] for node in nodes}


def _from_v3(etcd: str, service: str) -> dict[str, str]:
    prefix = f"{KEYS}/{service}/"
    query = {
        "key": base64.b64encode(prefix.encode()).decode(),
        "range_end": base64.b64encode((prefix[:-1] + "0").encode()).decode(),
    }
    request = urllib.request.Request(f"http://{etcd}/v3/kv/range", json.dumps(query).encode())
    with urllib.request.urlopen(request, timeout=2) as answer:
        rows = json.load(answer).get("kvs", [])
    return {
        base64.b64decode(row["key"]).decode().removeprefix(prefix): base64.b64decode(row["value"]).decode()
        for row in rows
    }


def run_module(
    module: str, *arguments: str, environment: Mapping[str, str], folder: Path, timeout: float = 120.0
) -> str:
    """Run `python -m module …` to its end and return what it printed; fails the test when it does not exit with 0."""
    process = Process(
        module,
        [sys.executable, "-m", module, *arguments],
        folder / f"{module}-{time.monotonic_ns()}.log",
        environment=environment,
        folder=ROOT,
    )
    process.start()
    try:
        code = process.wait_end(timeout)
    finally:
        process.kill()
    assert code == 0, f"python -m {module} ended with {code}:\n{process.log_text()}"
    return process.log_text()
