"""Cassandra for one machine: CassandraDaemon on the jars of infra/pom.xml, with a configuration of our own written for each node."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template

from infra.cql_probe import Login, answers
from infra.errors import InfraError
from infra.java import find_java
from infra.layout import CASSANDRA_JARS
from infra.ports import free_port
from infra.processes import Process

# The superuser that Cassandra creates by itself where it asks for a password.
FIRST_LOGIN = Login("cassandra", "cassandra")

# A node that starts asks the others who they are, and ends when none has answered in this time: long enough for a busy machine.
_RING_DELAY_MS = 10_000

_DATACENTER_FILE = "rackdc.properties"

# The parts of the JDK that Cassandra uses and Java 17 closes by default: see conf/jvm17-server.options of its distribution.
EXPORTS = (
    "java.base/jdk.internal.misc",
    "java.base/jdk.internal.ref",
    "java.base/sun.nio.ch",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.sql/java.sql",
    "jdk.attach/sun.tools.attach",
    "jdk.compiler/com.sun.tools.javac.file",
    "jdk.unsupported/sun.misc",
)
OPENS = (
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.lang.module",
    "java.base/java.lang.reflect",
    "java.base/java.util",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.misc",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "jdk.compiler/com.sun.tools.javac",
    "jdk.management/com.sun.management.internal",
)


@dataclass(frozen=True)
class NodeTls:
    """A PKCS12 or JKS file with the certificate and key that Cassandra shows its clients."""

    keystore: Path
    password: str


class Cassandra(Process):
    """One Cassandra node. `address` is the host:port of its clients."""

    def __init__(
        self,
        folder: Path,
        port: int,
        *,
        host: str = "127.0.0.1",
        storage_port: int | None = None,
        seeds: str | None = None,
        heap_mb: int = 512,
        auto_bootstrap: bool = False,
        login: Login | None = None,
        tls: NodeTls | None = None,
        datacenter: str | None = None,
        jars: Path = CASSANDRA_JARS,
        prefix: Sequence[str] = (),
    ) -> None:
        """Describe a node; nothing is started.

        `seeds` is a comma list of host:storage_port, by default the node itself. With `login`, clients must give a user and password; it is
        the one we ask with (FIRST_LOGIN until a test changes it). `auto_bootstrap` is for a node that joins one that holds data.
        `prefix` is put before the command, such as `nsenter …`; it must become that command, not start it, so that signals reach the node.
        """
        self.host = host
        self.port = port
        self.storage_port = storage_port or free_port(host)
        self.data = folder.absolute()
        self.login, self.tls, self.datacenter = login, tls, datacenter
        self._values = {
            **_settings_of_login(login),
            **_settings_of_tls(tls),
            **_settings_of_ring(seeds or self.seed, auto_bootstrap, datacenter),
            "folder": json.dumps(str(self.data), ensure_ascii=False)[1:-1],  # the template has the quotes
            "host": host,
            "port": str(port),
            "storage_port": str(self.storage_port),
        }
        super().__init__(
            "Cassandra",
            [*prefix, *_command(self.data, jars, heap_mb, _RING_DELAY_MS if seeds else 100)],
            self.data / "start.log",
            environment={"LC_ALL": "C.UTF-8"},  # without a locale Java cannot read names of files that are not ASCII
            folder=self.data,  # of relative names: a % in a log's path would be read as a part of the pattern that names older logs
            stop_seconds=6.0,
        )

    @property
    def address(self) -> str:
        """host:port for clients."""
        return f"{self.host}:{self.port}"

    @property
    def seed(self) -> str:
        """How other nodes reach this one."""
        return f"{self.host}:{self.storage_port}"

    def start(self) -> None:
        """Write the configuration and start the process; returns at once."""
        self.data.mkdir(parents=True, exist_ok=True)
        for name in ("cassandra.yaml", "logback.xml"):
            template = Template(Path(__file__).with_name(f"{name}.template").read_text(encoding="utf-8"))
            (self.data / name).write_text(template.substitute(self._values), encoding="utf-8")
        if self.datacenter:
            (self.data / _DATACENTER_FILE).write_text(f"dc={self.datacenter}\nrack=rack1\n", encoding="utf-8")
        super().start()

    def is_ready(self) -> bool:
        """Whether it answers a query."""
        return answers(self.host, self.port, login=self.login, tls=self.tls is not None)

    def wipe(self) -> None:
        """Delete all data; only while it is stopped."""
        if self.alive:
            raise InfraError("Cassandra must be stopped before its data is deleted")
        shutil.rmtree(self.data, ignore_errors=True)


@contextmanager
def cassandra_cluster(
    folder: Path,
    size: int = 3,
    *,
    heap_mb: int = 512,
    ready_seconds: float = 60.0,
    datacenters: Sequence[str] | None = None,
    hosts: Sequence[str] | None = None,
    prefixes: Mapping[str, Sequence[str]] | None = None,
    prepare: Callable[[Cassandra], object] | None = None,
) -> Iterator[list[Cassandra]]:
    """`size` nodes of one ring on 127.0.0.1, 127.0.0.2, …, or one on each of `hosts`; all at the same free port, stopped at the end of the block.

    `datacenters` names that of each node; by default all are in one. `prefixes` has, by host, what is put before a node's command. Each node
    answers, within `ready_seconds`, before the next is started; they may not know each other yet. `prepare` is called with the first before
    the others start: tables that are made then need nobody's consent.
    """
    port, storage_port = free_port(), free_port()
    with ExitStack() as stack:
        nodes: list[Cassandra] = []
        for index, host in enumerate(hosts or [f"127.0.0.{number}" for number in range(1, size + 1)]):
            node = Cassandra(
                folder / host,
                port,
                host=host,
                storage_port=storage_port,
                seeds=nodes[0].seed if nodes else None,
                heap_mb=heap_mb,
                datacenter=datacenters[index] if datacenters else None,
                prefix=(prefixes or {}).get(host, ()),
            )
            node.start()
            stack.callback(node.stop)
            node.wait_ready(ready_seconds)
            nodes.append(node)
            if prepare and index == 0:
                prepare(node)
        yield nodes


def _settings_of_ring(seeds: str, auto_bootstrap: bool, datacenter: str | None) -> dict[str, str]:
    """The values of cassandra.yaml that decide how a node joins the others; with `datacenter`, they tell each other where they are."""
    return {
        "seeds": seeds,
        "auto_bootstrap": _yaml(auto_bootstrap),
        "snitch": "GossipingPropertyFileSnitch" if datacenter else "SimpleSnitch",
    }


def _settings_of_login(login: Login | None) -> dict[str, str]:
    """The values of cassandra.yaml that decide whether clients give a user and a password."""
    return {
        "authenticator": "PasswordAuthenticator" if login else "AllowAllAuthenticator",
        "authorizer": "CassandraAuthorizer" if login else "AllowAllAuthorizer",
    }


def _settings_of_tls(tls: NodeTls | None) -> dict[str, str]:
    """The values of cassandra.yaml that decide whether clients are served with TLS."""
    return {
        "tls": _yaml(tls is not None),
        "keystore": str(tls.keystore.absolute()) if tls else "none",
        "keystore_password": tls.password if tls else "none",
    }


def _command(data: Path, jars: Path, heap_mb: int, ring_delay_ms: int) -> list[str]:
    """How Java runs Cassandra with the configuration in `data`. For `ring_delay_ms` a node waits for the others."""
    return [
        str(find_java()),
        f"-Xms{heap_mb}M",
        f"-Xmx{heap_mb}M",
        "-Xss256k",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:+PerfDisableSharedMem",
        *(f"--add-exports={package}=ALL-UNNAMED" for package in EXPORTS),
        *(f"--add-opens={package}=ALL-UNNAMED" for package in OPENS),
        "-Djdk.attach.allowAttachSelf=true",
        "-Dio.netty.tryReflectionSetAccessible=true",
        f"-javaagent:{_jamm(jars)}",
        f"-Dcassandra.config={(data / 'cassandra.yaml').as_uri()}",
        f"-Dcassandra-rackdc.properties={(data / _DATACENTER_FILE).as_uri()}",
        f"-Dcassandra.storagedir={data}",
        f"-Dlogback.configurationFile={data}/logback.xml",
        # One machine: there is nobody far away to wait for.
        "-Dcassandra.skip_wait_for_gossip_to_settle=0",
        f"-Dcassandra.ring_delay_ms={ring_delay_ms}",
        "-Dcassandra.superuser_setup_delay_ms=0",
        "-Dcassandra-foreground=yes",
        "-cp",
        f"{jars}/*",
        "org.apache.cassandra.service.CassandraDaemon",
    ]


def _jamm(jars: Path) -> Path:
    """The Java agent with which Cassandra measures its objects."""
    found = sorted(jars.glob("jamm-*.jar"))
    if not found:
        raise InfraError(f"Cassandra's jars are not in {jars}; `make setup` puts them there")
    return found[0]


def _yaml(value: bool) -> str:
    return "true" if value else "false"
