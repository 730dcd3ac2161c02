"""The distribution is built and installed into an empty environment, and there, outside of the repository, every example runs for real."""

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from discovery.tests.waiting import eventually
from infra.etcd import Etcd
from infra.ports import free_port
from infra.processes import Process

pytestmark = pytest.mark.processes

LIBRARY = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution, built from a copy so that nothing is left in the tree."""
    source, built = tmp_path_factory.mktemp("source") / "discovery", tmp_path_factory.mktemp("built")
    shutil.copytree(LIBRARY, source, ignore=shutil.ignore_patterns("__pycache__", "tests"))
    _run([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(built), str(source)])
    return built


@pytest.fixture(scope="module")
def python(distributions: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Python of an empty environment with the wheel. Its dependencies are those of the environment that runs the tests."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    [wheel] = distributions.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python)]
    _run([*pip, "install", "--quiet", "--no-index", "--no-deps", str(wheel)])
    # Added as a folder only: a .pth file in it, such as that of an editable install of this library, is not followed.
    [packages] = folder.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(
        "\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    )
    found = _run([str(python), "-c", "import grpc_discovery; print(grpc_discovery.__file__)"], folder)
    assert found.startswith(str(packages)), f"the library comes from {found}, not from the wheel"
    return str(python)


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """The examples alone, outside of the repository."""
    return Path(
        shutil.copytree(LIBRARY / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    )


def _environment(**values: str) -> dict[str, str]:
    """What a program is started with: nothing of ours that could change what it finds."""
    foreign = {name: value for name, value in os.environ.items() if not name.startswith(("GREETER_", "PYTHON"))}
    return {**foreign, "PYTHONPATH": "", "PYTHONUNBUFFERED": "1", **values}


def _run(command: list[str], folder: Path | None = None, **values: str) -> str:
    """What a program prints on standard output; fails with all that it prints if it ends with another code than 0."""
    done = subprocess.run(
        command, cwd=folder, env=_environment(**values), capture_output=True, text=True, timeout=60, check=False
    )
    said = f"{done.stdout}{done.stderr}"
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{said}"
    return done.stdout


def _server(python: str, examples: Path, name: str, etcd: Etcd) -> Process:
    """An example that serves until it is stopped, on a free port."""
    given = {"GREETER_ETCD": etcd.address, "GREETER_LISTEN_PORT": str(free_port()), "GREETER_WITHDRAW_WAIT": "0.2"}
    environment = {**given, "PYTHONPATH": "", "PYTHONUNBUFFERED": "1"}
    return Process(name, [python, name], examples / f"{name}.log", environment=environment, folder=examples)


def test_the_wheel_holds_the_package_its_types_and_its_licence_and_no_tests(distributions: Path) -> None:
    [wheel] = distributions.glob("*.whl")
    assert re.fullmatch(r"grpc_discovery-[\d.]+-py3-none-any\.whl", wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        [metadata] = [archive.read(name).decode() for name in names if name.endswith(".dist-info/METADATA")]
    own = {name for name in names if ".dist-info/" not in name}
    sources = LIBRARY / "src"
    in_tree = {
        str(path.relative_to(sources))
        for path in sources.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert own == in_tree
    assert "grpc_discovery/py.typed" in own
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert any(name.endswith(".dist-info/entry_points.txt") for name in names)
    assert "License-Expression: Apache-2.0" in metadata
    needed = [line for line in metadata.splitlines() if line.startswith("Requires-Dist:") and "extra ==" not in line]
    assert len(needed) <= 4, needed


def test_the_source_distribution_holds_what_the_wheel_is_built_from_and_no_tests(distributions: Path) -> None:
    [source] = distributions.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "examples/greeter_server.py"} <= names
    assert "src/grpc_discovery/py.typed" in names
    assert not [name for name in names if "tests" in name.split("/")]


async def test_the_service_of_the_readme_is_found_by_its_callers_and_stops_in_order(
    python: str, examples: Path, etcd: Etcd
) -> None:
    server = _server(python, examples, "greeter_server.py", etcd)
    server.start()
    try:
        await eventually(lambda: "advertised as" in server.log_text(), 15, "the service is advertised")
        assert _run([python, "greeter_client.py"], examples, GREETER_ETCD=etcd.address) == "Hello, you!\n"
        said = _run([python, "script.py", "Ada", "Grace"], examples, GREETER_ETCD=etcd.address)
        assert said == "Hello, Ada!\nHello, Grace!\n"
        listed = _run([python, "-m", "grpc_discovery.cli", "--etcd", etcd.address, "list"], examples)
        assert "acme.greeter.v1.Greeter" in listed
        assert "serving" in listed
        server.send(signal.SIGTERM)
        assert server.wait_end(10) == 0
    finally:
        server.kill()
    steps = ["health is NOT_SERVING", "withdrawn: ", "calls under way", "server stopped", ": stopped\n"]
    places = [server.log_text().find(step) for step in steps]
    assert -1 not in places, server.log_text()
    assert places == sorted(places), server.log_text()


@pytest.mark.parametrize(
    ("name", "greeting"),
    [
        ("aio_server.py", "Hello, you, from a server of our own!\n"),
        ("synchronous_server.py", "Hello, you, from a thread!\n"),
    ],
)
async def test_a_server_that_exists_already_is_found_and_stops_in_order(
    python: str, examples: Path, etcd: Etcd, name: str, greeting: str
) -> None:
    server = _server(python, examples, name, etcd)
    server.start()
    try:
        await eventually(lambda: "serving on" in server.log_text(), 15, "it serves")
        assert _run([python, "greeter_client.py"], examples, GREETER_ETCD=etcd.address) == greeting
        server.send(signal.SIGTERM)
        assert server.wait_end(10) == 0
    finally:
        server.kill()
    assert server.log_text().endswith("stopped\n")


def test_of_two_instances_one_is_killed_and_no_call_fails(python: str, examples: Path, etcd: Etcd) -> None:
    said = _run([python, "two_instances.py"], examples, GREETER_ETCD=etcd.address)
    assert "0 calls failed" in said.splitlines()
    counts = [int(count) for count in re.findall(r"answered (\d+) calls", said)]
    assert sum(counts) == 300
    assert len(counts) == 2
    assert max(counts) > 200, "the one that was left alone answered alone"


def test_health_and_entry_follow_a_database_that_goes_away_and_comes_back(python: str, examples: Path) -> None:
    assert _run([python, "database_away.py"], examples).splitlines() == [
        "the database is not up yet: health is not to be had, 0 in the registry",
        "the database is up: health is SERVING, 1 in the registry",
        "the database is away: health is NOT_SERVING, 0 in the registry",
        "the database is back: health is SERVING, 1 in the registry",
        "stopped: health is not to be had, 0 in the registry",
    ]


def test_a_service_is_found_by_dns(python: str, examples: Path) -> None:
    greeting, found = _run([python, "behind_dns.py"], examples).splitlines()
    assert greeting == "Hello, you!"
    assert re.fullmatch(r"found by DNS: 127\.0\.0\.1:\d+", found)


def test_a_unit_test_needs_no_etcd(python: str, examples: Path) -> None:
    assert "2 passed" in _run([python, "-m", "pytest", "-p", "no:cacheprovider", "unit_test.py"], examples)


def test_the_command_line_is_installed(python: str, examples: Path) -> None:
    said = _run([str(Path(python).parent / "grpc-discovery"), "--help"], examples)
    for command in ("list", "watch", "call", "wait", "advertise"):
        assert command in said
