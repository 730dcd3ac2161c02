"""Starting the greeter of program.py, and what a registry holds of it."""

import sys
from pathlib import Path

import grpc

from discovery.tests.balancing.servers import GREETER
from discovery.tests.etcds import Kind
from greeter_pb2 import HelloRequest
from greeter_pb2_grpc import GreeterStub
from infra.ports import free_port
from infra.processes import Process

TTL = 2.0
EXAMPLES = Path(__file__).parents[2] / "examples"


class GreeterProcess(Process):
    """A greeter with settings, given without their prefix; what is in the folder `python_path` is imported before anything else."""

    def __init__(self, folder: Path, settings: dict[str, str], *, python_path: Path | None = None) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        paths = [str(EXAMPLES), *([str(python_path)] if python_path else [])]
        values = {"LISTEN_PORT": str(self.port), "TTL": f"{TTL:g}", "WITHDRAW_WAIT": "0.2", **settings}
        super().__init__(
            "greeter",
            [sys.executable, str(Path(__file__).with_name("program.py"))],
            folder / f"greeter-{self.port}.log",
            environment={"PYTHONPATH": ":".join(paths), **{f"GREETER_{name}": text for name, text in values.items()}},
        )

    def is_ready(self) -> bool:
        return "advertised as" in self.log_text()

    def says(self, name: str) -> str:
        """Its answer to a greeting."""
        with grpc.insecure_channel(self.address) as channel:
            return GreeterStub(channel).SayHello(HelloRequest(name=name), timeout=5).text


async def entries(kind: Kind, etcd: str) -> dict[str, str]:
    """The greeter's instances that stand in the registry."""
    registry = await kind.registry(etcd)
    try:
        return await registry.list(GREETER)
    finally:
        await registry.close()
