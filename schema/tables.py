"""Reading killrvideo.cql, and finding what a database lacks.

The file is the one description of the tables. It is compared with what the database reports of itself, so a table that got another column needs
no migration script: an older database lacks the column and gets it. The same holds for the options that the file sets.
"""

import re
from ast import literal_eval
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import md5
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

CQL_FILE = Path(__file__).with_name("killrvideo.cql")

_CREATE = re.compile(r"CREATE TABLE IF NOT EXISTS (?P<name>\w+) \((?P<body>.*?)\)(?: WITH (?P<options>.*))?", re.DOTALL)
_COLUMN = re.compile(r"(?P<name>\w+) (?P<type>.+?)(?P<static> static)?")
_KEY = re.compile(r"PRIMARY KEY \(\((?P<partition>[^)]*)\)(?P<clustering>[^)]*)\)")


class SchemaMismatch(Exception):
    """The database has a table that adding columns cannot make match."""


class ColumnKind(StrEnum):
    """What a column is in its table, in Cassandra's words."""

    PARTITION_KEY = "partition_key"
    CLUSTERING = "clustering"
    STATIC = "static"
    REGULAR = "regular"


class ColumnRow(NamedTuple):
    """A column as system_schema.columns describes it."""

    table: str
    column: str
    kind: str
    type: str


class OptionsRow(NamedTuple):
    """The options of a table that killrvideo.cql may set, as system_schema.tables has them."""

    table: str
    gc_grace_seconds: int
    default_time_to_live: int
    compaction: Mapping[str, str]


@dataclass(frozen=True)
class Column:
    """A column of killrvideo.cql."""

    name: str
    type: str
    kind: ColumnKind


@dataclass(frozen=True)
class Table:
    """A table of killrvideo.cql."""

    name: str
    columns: tuple[Column, ...]
    body: str
    options: str

    def creation(self, keyspace: str) -> str:
        """The statement that creates the table."""
        # The id follows from the name, the same that Cassandra gives with use_deterministic_table_id: two schema steps that create a table
        # at the same time through two nodes create the same one. With random ids the nodes would disagree.
        table_id = UUID(bytes=md5(f"{keyspace}{self.name}".encode(), usedforsecurity=False).digest(), version=3)
        options = f" AND {self.options}" if self.options else ""
        return f"CREATE TABLE IF NOT EXISTS {keyspace}.{self.name} ({self.body}) WITH ID = {table_id}{options}"

    def additions(self, keyspace: str, present: Iterable[ColumnRow]) -> list[str]:
        """The statements that add the columns which `present` lacks. Raises SchemaMismatch where adding cannot help."""
        there = {row.column: row for row in present}
        statements = []
        for column in self.columns:
            row = there.get(column.name)
            if row is None and column.kind in (ColumnKind.REGULAR, ColumnKind.STATIC):
                static = " static" if column.kind is ColumnKind.STATIC else ""
                statements.append(
                    f"ALTER TABLE {keyspace}.{self.name} ADD IF NOT EXISTS {column.name} {column.type}{static}"
                )
            elif row is None:
                raise SchemaMismatch(
                    f"table {keyspace}.{self.name} has no {column.name}, which belongs to its primary key"
                )
            elif (row.kind, row.type) != (column.kind, column.type):
                raise SchemaMismatch(
                    f"{keyspace}.{self.name}.{column.name} is {row.type} ({row.kind}), and should be {column.type} ({column.kind})"
                )
        return statements

    def alterations(self, keyspace: str, present: OptionsRow) -> list[str]:
        """The statement that sets the options which differ, if any do. Options that the file does not name are left as they are."""
        different = [
            f"{name} = {value}"
            for name, value in _options(self.options).items()
            if not _has_option(present, name, literal_eval(value))
        ]
        return [f"ALTER TABLE {keyspace}.{self.name} WITH {' AND '.join(different)}"] if different else []


def _options(text: str) -> dict[str, str]:
    """The options of a CREATE TABLE by name, without the clustering order."""
    pairs = [part.partition(" = ") for part in text.split(" AND ") if part and not part.startswith("CLUSTERING ORDER")]
    return {name: value for name, _, value in pairs}


def _has_option(present: OptionsRow, name: str, value: int | dict[str, str]) -> bool:
    if isinstance(value, int):
        return bool(getattr(present, name) == value)
    # The database names the class with its package, and adds what it takes by default.
    there = {**present.compaction, "class": present.compaction.get("class", "").rpartition(".")[2]}
    return value.items() <= there.items()


def read_tables(text: str) -> list[Table]:
    """The tables of a file like killrvideo.cql. Raises ValueError for a statement that is not understood."""
    without_comments = re.sub(r"--[^\n]*", "", text)
    return [_table(statement) for part in without_comments.split(";") if (statement := " ".join(part.split()))]


def _table(statement: str) -> Table:
    create = _CREATE.fullmatch(statement)
    key = _KEY.search(statement)
    if not create or not key:
        raise ValueError(f"not a CREATE TABLE IF NOT EXISTS with a PRIMARY KEY ((…), …): {statement[:100]}")
    partition, clustering = _names(key["partition"]), _names(key["clustering"])
    for name in _options(create["options"] or ""):
        if name not in OptionsRow._fields:
            raise ValueError(f"not an option that is compared, in {create['name']}: {name}")
    columns = []
    for part in _parts(create["body"]):
        if _KEY.fullmatch(part):
            continue
        column = _COLUMN.fullmatch(part)
        if not column:
            raise ValueError(f"not a column of {create['name']}: {part}")
        name = column["name"]
        if name in partition:
            kind = ColumnKind.PARTITION_KEY
        elif name in clustering:
            kind = ColumnKind.CLUSTERING
        else:
            kind = ColumnKind.STATIC if column["static"] else ColumnKind.REGULAR
        columns.append(Column(name, column["type"].replace("varchar", "text"), kind))
    return Table(create["name"], tuple(columns), create["body"].strip(), (create["options"] or "").strip())


def _names(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def _parts(body: str) -> list[str]:
    """The parts of a list with commas, where a comma within brackets does not separate."""
    parts, depth = [""], 0
    for character in body:
        depth += (character in "(<") - (character in ")>")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]
