"""What is said of the library's code as a whole: of whom it does not speak, what importing it does, its size, its docstrings."""

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import grpc
import pytest

import grpc_discovery

LIBRARY = Path(__file__).parent.parent
SOURCE = LIBRARY / "src" / "grpc_discovery"
MAX_LINES, MAX_FILE, MAX_FUNCTION = 5700, 300, 45
MAX_TELEMETRY = 600  # of these

_Function = ast.FunctionDef | ast.AsyncFunctionDef

# A method of a registry, a channel or a call that implements one of these says no more than they do.
_INTERFACES = [grpc_discovery.Registry, *filter(inspect.isclass, [*vars(grpc).values(), *vars(grpc.aio).values()])]
_INHERITED = {name for interface in _INTERFACES for name in vars(interface)}


def _texts() -> Iterator[tuple[Path, str]]:
    """Every text file of the library, its tests and examples among them."""
    for path in LIBRARY.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc":
            yield path, path.read_text(encoding="utf-8")


def _modules() -> list[Path]:
    """The modules that are written by hand."""
    return [path for path in SOURCE.rglob("*.py") if "_pb2" not in path.name]


def test_it_knows_nothing_of_its_first_user_nor_of_one_database() -> None:
    # Put together here, because this file is one of those that are searched.
    foreign = re.compile("killr" + "video|cassan" + "dra", re.IGNORECASE)
    assert {str(path): foreign.findall(text) for path, text in _texts() if foreign.search(text)} == {}


def test_it_names_no_package_registry() -> None:
    hosts = re.compile(
        "pypi" + r"\.org|python" + r"hosted\.org|index" + "-url|repo1" + r"\.maven|proxy\.golang" + r"\.org"
    )
    assert {str(path): hosts.findall(text) for path, text in _texts() if hosts.search(text)} == {}


@pytest.mark.processes
def test_importing_it_configures_nothing() -> None:
    program = """
import asyncio, logging, os, signal, sys, threading
before = [signal.getsignal(number) for number in signal.valid_signals()], os.environ.copy()
policy = asyncio.get_event_loop_policy()
import grpc_discovery
after = [signal.getsignal(number) for number in signal.valid_signals()], os.environ.copy()
assert before == after, "signals or environment"
assert logging.getLogger().handlers == [] and logging.getLogger().level == logging.WARNING, "logging"
loggers = [logging.getLogger(name) for name in logging.Logger.manager.loggerDict if name.startswith("grpc_discovery")]
assert not [each for each in loggers if each.handlers or each.level], "loggers"
assert asyncio.get_event_loop_policy() is policy and asyncio._get_running_loop() is None, "event loop"
assert threading.active_count() == 1, "threads"
# gRPC imports its own companion packages where they are installed, but not what is in them.
extras = {"etcd", "dns", "rich", "uvloop", "grpc_reflection.v1alpha"} & sys.modules.keys()
assert not extras, f"packages of extras: {extras}"
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_it_stays_small() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in _modules()}
    assert {path.name: count for path, count in lines.items() if count > MAX_FILE} == {}
    assert _size(_modules()) <= MAX_LINES
    assert _size(path for path in _modules() if path.parent.name == "telemetry") <= MAX_TELEMETRY


def _size(modules: Iterable[Path]) -> int:
    """How many lines are written there; blank ones and comments are free."""
    lines = [line.strip() for path in modules for line in path.read_text(encoding="utf-8").splitlines()]
    return sum(1 for line in lines if line and not line.startswith("#"))


def test_no_function_is_long() -> None:
    long = {}
    for path in _modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, _Function) and node.end_lineno and node.end_lineno - node.lineno + 1 > MAX_FUNCTION:
                long[f"{path.name}: {node.name}"] = node.end_lineno - node.lineno + 1
    assert long == {}


def test_every_module_and_everything_public_in_it_says_what_it_is_for() -> None:
    silent = []
    for path in _modules():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        documented = _INHERITED if path.parent.name in ("registry", "balancing") else set()
        silent += [
            f"{path.name}: {name}"
            for name, node in [("the module", tree), *_public(tree)]
            if not _doc(node) and name.rpartition(".")[2] not in documented
        ]
    assert silent == []


def _public(parent: ast.Module | ast.ClassDef) -> Iterator[tuple[str, ast.ClassDef | _Function]]:
    """What has a public name in a module, and in its public classes."""
    for node in parent.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                yield from ((f"{node.name}.{name}", each) for name, each in _public(node))


def _doc(node: ast.Module | ast.ClassDef | _Function) -> str | None:
    # A setter, and a variant for the type checker, are documented where the name is first.
    decorators = [] if isinstance(node, ast.Module) else [ast.unparse(each) for each in node.decorator_list]
    if any(each.endswith((".setter", "overload")) for each in decorators):
        return "documented elsewhere"
    return ast.get_docstring(node)


def test_every_public_name_can_be_imported_and_says_what_it_is_for() -> None:
    assert sorted(grpc_discovery.__all__) == list(grpc_discovery.__all__)
    for name in grpc_discovery.__all__:
        assert getattr(grpc_discovery, name).__doc__, name
