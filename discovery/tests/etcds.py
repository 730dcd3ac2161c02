"""etcd for the tests of the registry: each with the interface under test, single or as a cluster, read and changed without our own code."""

import base64
import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from grpc_discovery.registry import Registry, open_registry
from grpc_discovery.settings import Settings
from infra.etcd import Etcd, etcd_without_v2, pinned_program
from infra.layout import LOCAL
from infra.ports import free_port

ROOT = "/services"
PASSWORD = "secret"
ETCDCTL = pinned_program().with_name("etcdctl")


@dataclass(frozen=True)
class Kind:
    """An interface of etcd and the program that offers it."""

    discovery: str
    version: str

    @property
    def program(self) -> Path | None:
        """The program; None is the pinned 3.5."""
        return etcd_without_v2(LOCAL) if self.version == "3.6" else None

    @property
    def v2(self) -> bool:
        """Whether the program has the v2 keys."""
        return self.version == "3.5"

    def etcd(self, folder: Path) -> Etcd:
        """One member, not started."""
        return Etcd(folder / "etcd", free_port(), v2=self.v2, program=self.program)

    def settings(self, *addresses: str, **more: object) -> Settings:
        """Settings of a process that uses these etcd members; `more` by flat names."""
        values = {"etcd": ",".join(addresses), "discovery": self.discovery, **more}
        return Settings.from_environment("TEST_", {}, **values)

    async def registry(self, *addresses: str, **more: object) -> Registry:
        """A registry on these etcd members."""
        return await open_registry(self.settings(*addresses, **more).registry)

    def delete(self, address: str, path: str) -> None:
        """Delete a key, or a directory with all in it, as somebody with a terminal would."""
        if self.discovery == "etcd-v2":
            request = urllib.request.Request(f"http://{address}/v2/keys{path}?recursive=true", method="DELETE")
            urllib.request.urlopen(request, timeout=2).close()
        else:
            etcdctl(address, "del", "--prefix", path)

    def put(self, address: str, path: str, value: str) -> None:
        """Write a key without expiry."""
        if self.discovery == "etcd-v2":
            body = urllib.parse.urlencode({"value": value}).encode()
            urllib.request.urlopen(
                urllib.request.Request(f"http://{address}/v2/keys{path}", body, method="PUT"), timeout=2
            ).close()
        else:
            etcdctl(address, "put", path, value)

    def holds(self, address: str, path: str) -> bool:
        """Whether anything stands at or below `path`: a key, or a directory, also an empty one."""
        if self.discovery != "etcd-v2":
            return bool(etcdctl(address, "get", "--prefix", path))
        try:
            with urllib.request.urlopen(f"http://{address}/v2/keys{path}", timeout=2) as answer:
                return "node" in json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return False
            raise

    def ask_for_user(self, address: str, password: str = PASSWORD) -> None:
        """Make etcd ask for the user root with the password."""
        if self.discovery == "etcd-v2":
            for method, path, body in (
                ("PUT", "users/root", json.dumps({"user": "root", "password": password})),
                ("PUT", "enable", ""),
                ("DELETE", "roles/guest", ""),
            ):
                request = urllib.request.Request(f"http://{address}/v2/auth/{path}", body.encode(), method=method)
                credentials = base64.b64encode(f"root:{password}".encode()).decode()
                request.add_header("Authorization", f"Basic {credentials}")
                urllib.request.urlopen(request, timeout=5).close()
        else:
            etcdctl(address, "user", "add", f"root:{password}")
            etcdctl(address, "user", "grant-role", "root", "root")
            etcdctl(address, "auth", "enable")


V2 = Kind("etcd-v2", "3.5")
KINDS = [V2, Kind("etcd-v3", "3.5"), Kind("etcd-v3", "3.6")]


def etcdctl(address: str, *arguments: str) -> str:
    """Run etcd's own tool (v3)."""
    command = [str(ETCDCTL), f"--endpoints=http://{address}", *arguments]
    done = subprocess.run(command, env={"ETCDCTL_API": "3"}, capture_output=True, text=True, check=False, timeout=10)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
