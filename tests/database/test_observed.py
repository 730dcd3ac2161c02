"""What is told of operations on a real Cassandra, with each driver: how long they took, and spans where the call is recorded."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from cassandra.cluster import Session
from prometheus_client import REGISTRY

from common.database import Database, DatabaseError, Select, Write, WriteIf, connect
from common.database.availability import too_few
from common.database.observed import ObservedDatabase, observed
from grpc_discovery import DeadlineExceeded, start_shielded
from grpc_discovery.addresses import Address
from grpc_discovery.serving.deadlines import finish_shielded, set_time_left
from grpc_discovery.telemetry.spans import Span
from tests.database.keyspace import DRIVERS, KEYSPACE, settings_for
from tests.database.recording import recording

pytestmark = pytest.mark.asyncio


class Item(NamedTuple):
    """An item of a list."""

    item: int


INSERT = Write("INSERT INTO items (list, item) VALUES (?, ?)")
UPDATE = Write("UPDATE items SET text = ? WHERE list = ? AND item = ?")
DELETE = Write("DELETE FROM items WHERE list = ? AND item = ?")
COUNT = Write("UPDATE counts SET total = total + 1 WHERE id = ?", idempotent=False)
ITEMS = Select("SELECT item FROM items WHERE list = ?", Item)
CLAIM = WriteIf("INSERT INTO claims (name, owner) VALUES (?, ?) IF NOT EXISTS")
CLAIM_AGAIN = WriteIf("UPDATE claims SET owner = ? WHERE name = ? IF owner = ?")
STATEMENTS = (INSERT, UPDATE, DELETE, COUNT, ITEMS, CLAIM, CLAIM_AGAIN)

EVERYWHERE = {"db.system.name": "cassandra", "db.namespace": KEYSPACE}
ON_ITEMS = {**EVERYWHERE, "db.collection.name": "items"}


@pytest_asyncio.fixture(params=DRIVERS)
async def driver(request: pytest.FixtureRequest, cassandra: Any, keyspace: Session) -> AsyncIterator[Database]:
    """A session by each driver."""
    session = await connect(
        settings_for(cassandra, request.param).cassandra, [Address(cassandra.host, cassandra.port)], KEYSPACE
    )
    await session.prepare(STATEMENTS)
    set_time_left(None)
    yield session
    await session.close()


@pytest.fixture
def database(driver: Database) -> Database:
    """The same, observed."""
    return ObservedDatabase(driver, KEYSPACE)


@pytest.mark.parametrize(
    ("set_to", "is_observed"),
    [
        ({}, True),
        ({"metrics_port": 0, "trace_ratio": 0.0, "trace_to_callers": False}, False),
        ({"metrics_port": 0, "trace_ratio": 0.0, "listen_host": "0.0.0.0"}, False),
        ({"metrics_port": 0, "trace_ratio": 0.0}, True),  # on loopback callers may ask for traces
        ({"metrics_port": 0, "trace_ratio": 0.5, "trace_to_callers": False}, True),
        ({"trace_ratio": 0.0, "trace_to_callers": False}, True),
    ],
)
async def test_where_neither_metrics_nor_traces_are_on_it_is_the_database_of_the_driver(
    driver: Database, cassandra: Any, set_to: dict[str, Any], is_observed: bool
) -> None:
    chosen = observed(driver, settings_for(cassandra, "auto", **set_to))
    assert (chosen is not driver) == is_observed


async def rows_of(database: Database, key: UUID) -> list[Item]:
    """A whole list."""
    return [row async for row in database.scan(ITEMS, key)]


def counted() -> Counter[tuple[str, str]]:
    """How many operations were measured, by name and error."""
    return Counter(
        {
            (sample.labels["db_operation_name"], sample.labels["error_type"]): int(sample.value)
            for family in REGISTRY.collect()
            for sample in family.samples
            if sample.name == "db_client_operation_duration_seconds_count"
            and sample.labels["db_system_name"] == "cassandra"
        }
    )


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        (lambda database, key: database.select(ITEMS, key), "SELECT"),
        (lambda database, key: database.select_one(ITEMS, key), "SELECT"),
        (rows_of, "SELECT"),
        (lambda database, key: database.write(INSERT, key, 1), "INSERT"),
        (lambda database, key: database.write(UPDATE, "text", key, 1, timestamp_us=1), "UPDATE"),
        (lambda database, key: database.write(DELETE, key, 1), "DELETE"),
        (lambda database, key: database.write_if(CLAIM, str(key), key), "INSERT"),
        (lambda database, key: database.batch([(INSERT, (key, 1)), (DELETE, (key, 2))], 1), "BATCH"),
        (lambda database, key: database.batch_unlogged([(INSERT, (key, 1))]), "BATCH"),
        (lambda database, key: database.batch_if([(CLAIM, (str(key), key))]), "BATCH"),
    ],
)
async def test_each_operation_is_counted_once_by_its_name(
    database: Database, operation: Callable[[Database, UUID], Awaitable[object]], name: str
) -> None:
    before = counted()
    await operation(database, uuid4())
    assert counted() - before == {(name, ""): 1}


async def test_an_operation_that_fails_is_counted_by_the_class_of_its_error(database: Database) -> None:
    key, before = uuid4(), counted()
    with pytest.raises(DatabaseError):  # counters and others do not go into one batch
        await database.batch([(INSERT, (key, 1)), (COUNT, (key,))])
    cancelled = asyncio.create_task(database.select(ITEMS, key))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.wait([cancelled], timeout=5)
    set_time_left(0)
    for work in (database.write(INSERT, key, 1), rows_of(database, key)):
        with pytest.raises(DeadlineExceeded):
            await work
    assert counted() - before == {
        ("BATCH", "DatabaseError"): 1,
        ("SELECT", "CancelledError"): 1,
        ("INSERT", "DeadlineExceeded"): 1,
        ("SELECT", "DeadlineExceeded"): 1,
    }


async def test_the_duration_is_how_long_the_operation_took_and_of_a_scan_how_long_it_was_waited_for(
    database: Database,
) -> None:
    def total() -> float:
        labels = {"db_system_name": "cassandra", "db_operation_name": "SELECT", "error_type": ""}
        return REGISTRY.get_sample_value("db_client_operation_duration_seconds_sum", labels) or 0.0

    key = uuid4()
    await database.batch([(INSERT, (key, item)) for item in range(3)])
    before, loop = total(), asyncio.get_running_loop()
    began = loop.time()
    await database.select(ITEMS, key)
    assert 0 < total() - before <= loop.time() - began
    before, began, paused = total(), loop.time(), 0.0
    async for _ in database.scan(ITEMS, key):
        pause = loop.time()
        await asyncio.sleep(0.1)
        paused += loop.time() - pause
    assert 0 < total() - before <= loop.time() - began - paused


async def test_the_spans_of_a_recorded_call_say_what_was_asked_and_how_much_came_but_no_value(
    database: Database,
) -> None:
    key, spans = uuid4(), list[Span]()
    with recording(spans) as call:
        await database.batch([(INSERT, (key, item)) for item in range(3)] + [(DELETE, (key, 7))])
        await database.select(ITEMS, key)
        await database.select_one(ITEMS, key)
        await database.select_one(ITEMS, uuid4())
        await rows_of(database, key)
        await database.write(UPDATE, "secret", key, 1)
        await database.write_if(CLAIM, "secret", key)
        await database.batch_if([(CLAIM_AGAIN, (key, "secret", key))])
    assert all(span.kind == "CLIENT" and span.trace_id == call.trace_id for span in spans)
    assert {span.parent_id for span in spans} == {call.span_id}
    assert all(span.start_ns <= span.end_ns for span in spans)
    read = {**ON_ITEMS, "db.operation.name": "SELECT", "db.query.text": ITEMS.cql}
    batch = {**EVERYWHERE, "db.operation.name": "BATCH"}
    assert [(span.name, span.attributes) for span in spans] == [
        ("BATCH", {**batch, "db.query.text": f"{INSERT.cql}; {DELETE.cql}", "db.operation.batch.size": 4}),
        ("SELECT items", {**read, "db.response.returned_rows": 3}),
        ("SELECT items", {**read, "db.response.returned_rows": 1}),
        ("SELECT items", {**read, "db.response.returned_rows": 0}),
        ("SELECT items", {**read, "db.response.returned_rows": 3}),
        ("UPDATE items", {**ON_ITEMS, "db.operation.name": "UPDATE", "db.query.text": UPDATE.cql}),
        (
            "INSERT claims",
            {
                **EVERYWHERE,
                "db.collection.name": "claims",
                "db.operation.name": "INSERT",
                "db.query.text": CLAIM.cql,
            },
        ),
        ("BATCH", {**batch, "db.query.text": CLAIM_AGAIN.cql}),
    ]


async def test_a_scan_that_its_reader_leaves_has_a_span_with_the_rows_it_took(database: Database) -> None:
    key, spans = uuid4(), list[Span]()
    await database.batch([(INSERT, (key, item)) for item in range(3)])
    before = counted()
    with recording(spans):
        rows: Any = database.scan(ITEMS, key)
        assert await anext(rows) == (0,)
        await rows.aclose()
    assert [(span.attributes["db.response.returned_rows"], span.error) for span in spans] == [(1, "")]
    assert counted() - before == {("SELECT", ""): 1}


async def test_the_span_of_an_operation_that_failed_names_the_class_of_its_error(database: Database) -> None:
    spans = list[Span]()
    with recording(spans):
        set_time_left(0)
        for work in (database.select(ITEMS, uuid4()), rows_of(database, uuid4())):
            with pytest.raises(DeadlineExceeded):
                await work
    assert [(span.name, span.error, span.attributes["error.type"]) for span in spans] == [
        ("SELECT items", "DeadlineExceeded", "DeadlineExceeded")
    ] * 2


@pytest.mark.parametrize(
    "operation",
    [
        lambda database, key: database.select(ITEMS, key),
        lambda database, key: database.write(INSERT, key, 1),
    ],
)
async def test_the_span_of_an_operation_that_was_tried_again_says_so(
    driver: Any,
    database: Database,
    operation: Callable[[Database, UUID], Awaitable[object]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    execute, failures = driver._execute, [too_few(write_timed_out=False)]

    async def executed(*arguments: Any, **others: Any) -> Any:
        if failures:
            raise failures.pop()
        return await execute(*arguments, **others)

    monkeypatch.setattr(driver, "_execute", executed)
    before, spans = counted(), list[Span]()
    with recording(spans) as call:
        await operation(database, uuid4())
    [span] = spans
    assert [(name, attributes) for name, _, attributes in span.events] == [("retry", {"reason": "TooFewReplicas"})]
    assert span.error == ""
    assert call.events == []
    assert sum((counted() - before).values()) == 1


async def test_work_that_a_call_begins_is_told_as_its_own_also_after_it_has_ended(database: Database) -> None:
    key, spans, go_on = uuid4(), list[Span](), asyncio.Event()

    async def later() -> None:
        await go_on.wait()
        await database.write(INSERT, key, 1)

    with recording(spans) as call:
        start_shielded(later())
        await asyncio.gather(database.select(ITEMS, key), database.select_one(ITEMS, key))
        call.end()
    go_on.set()
    assert await finish_shielded(5) == 0
    assert Counter(span.name for span in spans if span is not call) == {"SELECT items": 2, "INSERT items": 1}
    assert {span.parent_id for span in spans if span is not call} == {call.span_id}
