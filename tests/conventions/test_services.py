"""The services are alike: who knows one knows the others, and a difference means something."""

import ast
import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from common.catalogue import SERVICES, SHARED_PORT
from common.database import Select, Write, WriteIf
from common.service import Service
from infra.layout import ROOT
from infra.settings import LAST_OFFSET
from infra.supervisord_conf import MAX_INSTANCES
from schema.tables import CQL_FILE, read_tables
from services.__main__ import load_service

# What clients know and nothing may change. Another service is a line of the catalogue, and none here.
CONTRACT_PORTS = {
    "comments": 8101,
    "ratings": 8201,
    "search": 8301,
    "statistics": 8401,
    "suggested_videos": 8501,
    "user_management": 8601,
    "video_catalog": 8701,
}
KNOWN = {known.slug: known for known in SERVICES.values()}
FILES = {"__init__.py", "__main__.py", "service.py", "servicer.py", "repository.py"}

each_service = pytest.mark.parametrize("slug", KNOWN)


def folder(slug: str) -> Path:
    return ROOT / "services" / slug


def service(slug: str) -> Service:
    return load_service(KNOWN[slug])


def modules(slug: str) -> list[ModuleType]:
    """All modules that take part in serving: not the one that runs by itself."""
    stems = [path.stem for path in sorted(folder(slug).glob("*.py"))]
    return [
        import_module(f"services.{slug}.{stem}")
        for stem in stems
        if not stem.startswith("__") and stem != KNOWN[slug].command
    ]


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(module: ast.Module) -> set[str]:
    """The full names of the modules that a module imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def handlers(slug: str) -> list[ast.AsyncFunctionDef]:
    """The methods of the servicer that answer calls, by the names of the calls."""
    classes = [node for node in tree(folder(slug) / "servicer.py").body if isinstance(node, ast.ClassDef)]
    [servicer] = [node for node in classes if node.name.endswith("Servicer")]
    return [node for node in servicer.body if isinstance(node, ast.AsyncFunctionDef) and node.name[0].isupper()]


def written_table(statement: Write) -> str:
    match = re.match(r"(?:INSERT INTO|UPDATE|DELETE (?:[\w, ]+ )?FROM)\s+(\w+)", statement.cql)
    assert match, f"which table does this write? {statement.cql}"
    return match[1]


def read_table(statement: Select[object]) -> str:  # type: ignore[type-var]
    match = re.search(r"\bFROM\s+(\w+)", statement.cql)
    assert match, f"which table does this read? {statement.cql}"
    return match[1]


def columns_of(select: str) -> list[str]:
    """What a SELECT asks for, parted by the commas outside of brackets."""
    text = re.match(r"SELECT (?:DISTINCT )?(.*?) FROM ", select)
    assert text, select
    parts, depth = [""], 0
    for character in text[1]:
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def test_the_catalogue_has_every_service_and_those_of_the_contract_on_their_ports() -> None:
    found = {path.name for path in (ROOT / "services").iterdir() if (path / "service.py").exists()}
    assert found == set(KNOWN)
    assert CONTRACT_PORTS.items() <= {slug: known.port for slug, known in KNOWN.items()}.items()


def test_no_two_services_have_a_name_or_a_port_in_common() -> None:
    assert len(KNOWN) == len(SERVICES)
    assert all(known.port % 100 == 1 for known in KNOWN.values()), (
        "instance n listens on the port of the first plus n - 1"
    )
    assert len({known.port for known in KNOWN.values()} | {SHARED_PORT}) == len(KNOWN) + 1


def test_the_last_instance_of_every_service_has_a_port_wherever_make_run_moves_it() -> None:
    last = max(known.port for known in KNOWN.values()) - 1 + MAX_INSTANCES
    assert last + LAST_OFFSET < 65_536


@each_service
def test_each_has_the_same_files(slug: str) -> None:
    assert {path.name for path in folder(slug).glob("*.py")} >= FILES


@each_service
def test_each_starts_by_the_same_lines(slug: str) -> None:
    module = tree(folder(slug) / "__main__.py")
    lines = ast.unparse(module)
    assert f"`python -m services.{slug}`" in (ast.get_docstring(module) or "")
    assert "from common.service import run\n" in lines
    assert f"from services.{slug}.service import SERVICE\n" in lines
    last = ast.unparse(module.body[-1])
    if KNOWN[slug].command:
        assert last.startswith("if __name__ == '__main__':\n")
        assert last.endswith("\n        run(SERVICE)")
    else:
        assert last == "if __name__ == '__main__':\n    run(SERVICE)"
        assert len(module.body) == 4


@each_service
def test_the_package_itself_says_what_it_is_for_and_no_more(slug: str) -> None:
    module = tree(folder(slug) / "__init__.py")
    assert ast.get_docstring(module)
    assert len(module.body) == 1


@each_service
def test_its_names_are_those_of_its_proto_file(slug: str) -> None:
    known = service(slug).known
    [of_proto] = import_module(f"protos.{slug}_pb2").DESCRIPTOR.services_by_name.values()
    assert (known.slug, known.name, known.full_name) == (slug, of_proto.name, of_proto.full_name)
    assert hasattr(import_module(known.grpc_module), known.register)
    assert hasattr(import_module(known.grpc_module), known.stub)


@each_service
def test_every_call_is_answered_by_a_handler(slug: str) -> None:
    [of_proto] = import_module(f"protos.{slug}_pb2").DESCRIPTOR.services_by_name.values()
    assert sorted(node.name for node in handlers(slug)) == sorted(method.name for method in of_proto.methods)


@each_service
def test_a_handler_reads_asks_and_answers(slug: str) -> None:
    """No `try` and no logging: errors carry their status, and the interceptor maps and logs."""
    for handler in handlers(slug):
        assert not [node for node in ast.walk(handler) if isinstance(node, ast.Try | ast.TryStar)], handler.name
        assert [argument.arg for argument in handler.args.args] == ["self", "request", "context"], handler.name
        assert ast.get_docstring(handler), handler.name
        names = {node.id for node in ast.walk(handler) if isinstance(node, ast.Name)}
        assert not names & {"_log", "logging", "print"}, handler.name
    assert "logging" not in imported(tree(folder(slug) / "servicer.py"))


@each_service
def test_every_statement_is_prepared_at_the_start(slug: str) -> None:
    statements = {
        id(value): value
        for module in modules(slug)
        for value in vars(module).values()
        if isinstance(value, Select | Write)
    }
    listed = service(slug).statements
    assert {id(each) for each in listed} == set(statements)
    assert len({id(each) for each in listed}) == len(listed), "a statement is listed twice"
    assert import_module(f"services.{slug}.repository").STATEMENTS is listed


@each_service
def test_a_select_names_its_columns_and_its_row_has_as_many(slug: str) -> None:
    for statement in service(slug).statements:
        if isinstance(statement, Select):
            columns = columns_of(statement.cql)
            assert "*" not in columns, statement.cql
            assert len(columns) == len(statement.row._fields), statement.cql


@each_service
def test_a_counter_is_no_idempotent_write(slug: str) -> None:
    for statement in service(slug).statements:
        if isinstance(statement, Write) and re.search(r"SET (\w+) = \1 [+-]", statement.cql):
            assert not statement.idempotent, statement.cql


@each_service
def test_a_write_with_a_condition_is_a_lightweight_transaction(slug: str) -> None:
    for statement in service(slug).statements:
        if isinstance(statement, Write):
            assert isinstance(statement, WriteIf) == (" IF " in statement.cql), statement.cql


def test_each_table_is_written_by_one_service_which_the_schema_names() -> None:
    tables = {table.name for table in read_tables(CQL_FILE.read_text(encoding="utf-8"))}
    named = {
        table: writer
        for writer, table in re.findall(
            r"-- Written by (\w+)[^\n]*\n(?:--[^\n]*\n)*CREATE TABLE IF NOT EXISTS (\w+)",
            CQL_FILE.read_text(encoding="utf-8"),
        )
    }
    assert set(named) == tables, "each table has a comment that names its writer"
    writers: dict[str, set[str]] = {}
    for slug in KNOWN:
        for statement in service(slug).statements:
            if isinstance(statement, Write):
                writers.setdefault(written_table(statement), set()).add(slug)
            else:
                # `system` is Cassandra's own keyspace, which tells its time.
                assert read_table(statement) in {*tables, "system"}, statement.cql
    assert writers == {table: {writer} for table, writer in named.items()}


@each_service
def test_services_import_neither_each_other_nor_what_is_built_on_them(slug: str) -> None:
    others = {f"services.{other}" for other in KNOWN if other != slug}
    above = {"client", "schema", "sampledata", "loadtest", "infra", "tests"}
    for path in folder(slug).glob("*.py"):
        for name in imported(tree(path)):
            assert not any(name == other or name.startswith(f"{other}.") for other in others), f"{path}: {name}"
            assert name.partition(".")[0] not in above, f"{path}: {name}"


@each_service
def test_no_driver_is_seen_outside_of_the_database_package(slug: str) -> None:
    for path in folder(slug).glob("*.py"):
        assert not {name.partition(".")[0] for name in imported(tree(path))} & {"cassandra", "acsylla", "etcd"}, path


@each_service
def test_a_service_loads_the_generated_code_of_no_other(slug: str) -> None:
    generated = {f"protos.{known.slug}_pb2" for known in KNOWN.values() if known.slug != slug}
    for path in (*folder(slug).glob("*.py"), *(ROOT / "common").rglob("*.py"), *(ROOT / "language").glob("*.py")):
        for name in imported(tree(path)):
            assert name.removesuffix("_grpc") not in generated, f"{path}: {name}"
