"""What all tests share: one Cassandra and one etcd for the whole run, on free ports and in a folder of their own, started when first asked for.

    cassandra        the node, with the schema in it (bare_cassandra: without)
    etcd             the member, with its v2 API
    environment      KILLRVIDEO_ settings that point to the two; copy and add to it
    settings         the same as the settings class
    open_database    await open_database(STATEMENTS): a session with the statements prepared, closed after the test
    start_service    start_service("comments", KILLRVIDEO_TTL="2"): a process that serves and is advertised, stopped after the test
    services, wire   all services, one process each, for the whole run, and calls to them by name; with `--at` the calls go to what runs already

A test that kills, pauses or fills Cassandra or etcd starts its own: `with Etcd(tmp_path, free_port()) as etcd:`.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest

from common.database import Database, Statement, wait_for_database
from common.settings import PREFIX, Settings
from grpc_discovery import open_registry
from infra.cassandra import Cassandra
from infra.etcd import Etcd
from infra.ports import free_port
from tests.processes import SERVICES, ServiceProcess, run_module
from tests.scenarios.wire import Wire

# A setting of the person who runs the tests must not change what they test.
for _name in [name for name in os.environ if name.startswith(PREFIX)]:
    del os.environ[_name]

READY_SECONDS = 300.0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--at",
        action="append",
        default=[],
        metavar="SERVICE=HOST:PORT",
        help="test calls on this service, which runs already; once for each service",
    )


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of this run: data and logs of what the fixtures start."""
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="session")
def etcd(run_folder: Path) -> Iterator[Etcd]:
    """One etcd 3.5 with its v2 API."""
    with Etcd(run_folder / "etcd", free_port()) as member:
        yield member


@pytest.fixture(scope="session")
def bare_cassandra(run_folder: Path) -> Iterator[Cassandra]:
    """One Cassandra node; nothing is in it unless another fixture put it there."""
    node = Cassandra(run_folder / "cassandra", free_port(), heap_mb=768)
    node.start()
    try:
        node.wait_ready(READY_SECONDS)
        yield node
    finally:
        node.stop()


@pytest.fixture(scope="session")
def environment(etcd: Etcd, bare_cassandra: Cassandra) -> dict[str, str]:
    """The settings of a process that uses this run's etcd and Cassandra."""
    return {"KILLRVIDEO_ETCD": etcd.address, "KILLRVIDEO_DSE_CONTACT_POINTS": bare_cassandra.address}


@pytest.fixture(scope="session")
def cassandra(bare_cassandra: Cassandra, environment: dict[str, str], run_folder: Path) -> Cassandra:
    """The Cassandra node with KillrVideo's schema."""
    run_module("schema", environment=environment, folder=run_folder)
    return bare_cassandra


@pytest.fixture(scope="session")
def settings(environment: dict[str, str]) -> Settings:
    """The settings class with what `environment` says."""
    return Settings.from_environment(PREFIX, environment)


@pytest.fixture
async def open_database(
    cassandra: Cassandra, settings: Settings
) -> AsyncIterator[Callable[[Iterable[Statement]], Awaitable[Database]]]:
    """Sessions on the real Cassandra, with the given statements prepared."""
    async with AsyncExitStack() as stack:
        registry = await open_registry(settings.registry)
        stack.push_async_callback(registry.close)

        async def open_one(statements: Iterable[Statement]) -> Database:
            database = await wait_for_database(settings.cassandra, registry, statements)
            stack.push_async_callback(database.close)
            return database

        yield open_one


@pytest.fixture
def start_service(
    cassandra: Cassandra, environment: dict[str, str], tmp_path: Path
) -> Iterator[Callable[..., ServiceProcess]]:
    """Starts services: `start_service("comments")`, with further settings by name, `port=` for a certain port, `wait=False` to go on at once."""
    with ExitStack() as stack:

        def start(*slugs: str, port: int | None = None, wait: bool = True, **more: str) -> ServiceProcess:
            process = ServiceProcess(
                slugs[0] if len(slugs) == 1 else slugs, tmp_path, {**environment, **more}, port=port
            )
            process.start()
            stack.callback(process.stop)
            if wait:
                process.wait_ready()
            return process

        yield start


@pytest.fixture(scope="session")
def services(
    cassandra: Cassandra, environment: dict[str, str], run_folder: Path
) -> Iterator[dict[str, ServiceProcess]]:
    """All services, one process each, by short name; for tests that leave them as they are."""
    with ExitStack() as stack:
        processes = {slug: ServiceProcess(slug, run_folder / "services", environment) for slug in SERVICES}
        for process in processes.values():
            process.start()
            stack.callback(process.stop)
        # All asked to end before the first is waited for: they drain side by side.
        for process in processes.values():
            stack.callback(process.terminate)
        for process in processes.values():
            process.wait_ready(READY_SECONDS)
        yield processes


@pytest.fixture(scope="session")
def wire(request: pytest.FixtureRequest) -> Iterator[Wire]:
    """Calls to the services by the name of the call: to processes that are started for it, or to those that `--at` names."""
    addresses = dict(given.split("=", 1) for given in request.config.getoption("--at"))
    if not addresses:
        processes: dict[str, ServiceProcess] = request.getfixturevalue("services")
        addresses = {SERVICES[slug]: process.address for slug, process in processes.items()}
    calls = Wire(addresses)
    yield calls
    calls.close()
