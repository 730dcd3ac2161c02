"""What every implementation of the database keeps, on a real Cassandra: the same truths for each driver."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid1, uuid4

import pytest
import pytest_asyncio
from cassandra.cluster import Session

from common.database import Database, DatabaseError, IdText, Outcome, Select, Write, WriteIf, connect
from common.errors import Unavailable
from grpc_discovery import DeadlineExceeded
from grpc_discovery.addresses import Address
from grpc_discovery.serving.deadlines import set_time_left
from tests.database.keyspace import DRIVERS, KEYSPACE, settings_for

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Everything(NamedTuple):
    """One column of each type that the schema uses."""

    item: int
    id: UUID | None
    time_id: UUID | None
    text: str | None
    moment: datetime | None
    words: set[str] | None
    ids: set[UUID] | None
    numbers: list[int] | None
    links: list[UUID] | None
    weight: float | None
    raw: bytes | None
    big: int | None
    flag: bool | None


class Pair(NamedTuple):
    """A list's key and an item in it."""

    list: UUID
    item: int


class Ids(NamedTuple):
    """Ids that are only passed on."""

    id: IdText | None
    time_id: IdText | None


class Total(NamedTuple):
    """A counter."""

    total: int


INSERT = Write(
    "INSERT INTO items (list, item, id, time_id, text, moment, words, ids, numbers, links, weight, raw, big, flag)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
INSERT_ITEM = Write("INSERT INTO items (list, item) VALUES (?, ?)")
INSERT_MOMENT = Write("INSERT INTO items (list, item, moment, big) VALUES (?, ?, ?, ?)")
ALL = Select(
    "SELECT item, id, time_id, text, moment, words, ids, numbers, links, weight, raw, big, flag FROM items WHERE list = ?",
    Everything,
)
IDS = Select("SELECT id, time_id FROM items WHERE list = ?", Ids)
PAIRS = Select("SELECT list, item FROM items WHERE list = ? LIMIT ?", Pair)
PAIRS_OF_MANY = Select("SELECT list, item FROM items WHERE list IN ?", Pair)
EVERY_PAIR = Select("SELECT list, item FROM items", Pair)
PAIRS_OF_ONE = Select("SELECT list, item FROM items WHERE list = ?", Pair)
COUNT = Write("UPDATE counts SET total = total + 1 WHERE id = ?", idempotent=False)
COUNTED = Select("SELECT total FROM counts WHERE id = ?", Total)
CLAIM = WriteIf("INSERT INTO claims (name, owner, taken) VALUES (?, ?, ?) IF NOT EXISTS")
TO_VERSION = WriteIf("UPDATE totals SET version = ?, total = ? WHERE video = ? IF version = ?")
RATE = Write("INSERT INTO totals (video, user, rating) VALUES (?, ?, ?)")
RATE_IF_NEW = WriteIf("INSERT INTO totals (video, user, rating) VALUES (?, ?, ?) IF NOT EXISTS")
RATE_IF = WriteIf("UPDATE totals SET rating = ? WHERE video = ? AND user = ? IF rating = ?")
STATEMENTS = (
    INSERT, INSERT_ITEM, INSERT_MOMENT, ALL, IDS, PAIRS, PAIRS_OF_MANY, EVERY_PAIR, PAIRS_OF_ONE, COUNT, COUNTED, CLAIM, TO_VERSION, RATE, RATE_IF_NEW, RATE_IF
)  # fmt: skip

MOMENT = datetime(2026, 11, 22, 10, 11, 12, 1000)


def moments_of(*years: int) -> list[datetime]:
    """Moments at the end of these years, with milliseconds that binary fractions do not hold."""
    return [datetime(year, 12, 31, 23, 59, 59, ms * 1000) for year in years for ms in (0, 1, 3, 9, 123, 567, 999)]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=DRIVERS)
async def database(request: pytest.FixtureRequest, cassandra: Any, keyspace: Session) -> AsyncIterator[Database]:
    """The database through each driver in turn."""
    database = await connect(
        settings_for(cassandra, request.param).cassandra, [Address(cassandra.host, cassandra.port)], KEYSPACE
    )
    await database.prepare(STATEMENTS)
    yield database
    await database.close()


@pytest.fixture(autouse=True)
def no_deadline() -> None:
    """Each test begins without a deadline."""
    set_time_left(None)


async def test_every_type_comes_back_as_it_was_written(database: Database) -> None:
    key = uuid4()
    row = Everything(
        1,
        uuid4(),
        uuid1(),
        "naïve \0 日本 😀",
        MOMENT,
        {"a", "b c"},
        {uuid4(), uuid4()},
        [3, 1, 2],
        [uuid4()],
        0.1,
        b"\0\xff",
        2**40,
        True,
    )
    await database.write(INSERT, key, *row)
    [read] = await database.select(ALL, key)
    assert read == row
    assert [type(value) for value in read] == [type(value) for value in row]
    assert await database.select_one(ALL, key) == row
    assert isinstance(read, Everything)


async def test_ids_that_are_only_passed_on_are_texts_in_lower_case(database: Database) -> None:
    key, one, other = uuid4(), uuid4(), uuid1()
    await database.write(INSERT, key, 1, one, other, *[None] * 10)
    await database.write(INSERT, key, 2, *[None] * 12)
    assert await database.select(IDS, key) == [(str(one), str(other)), (None, None)]


async def test_nulls_come_back_as_none_and_so_do_empty_collections_unless_frozen(database: Database) -> None:
    key = uuid4()
    await database.write(INSERT, key, 1, *[None] * 12)
    await database.write(INSERT, key, 2, None, None, "", None, set(), set(), [], [], None, b"", None, None)
    nothing, empty = await database.select(ALL, key)
    assert nothing == Everything(1, *[None] * 12)
    assert empty == Everything(2, None, None, "", None, None, None, None, [], None, b"", None, None)


async def test_a_null_erases_what_was_there(database: Database) -> None:
    key = uuid4()
    await database.write(INSERT_MOMENT, key, 1, MOMENT, 5)
    await database.write(INSERT_MOMENT, key, 1, None, 5)
    row = await database.select_one(ALL, key)
    assert row
    assert (row.moment, row.big) == (None, 5)


async def test_moments_are_written_to_the_millisecond(database: Database, keyspace: Session) -> None:
    key = uuid4()
    moments = moments_of(1, 1582, 1969, 1970, 2026, 9999)
    for at in range(0, len(moments), 20):
        await database.batch(
            [(INSERT_MOMENT, (key, n, moment, n)) for n, moment in enumerate(moments[at : at + 20], at)]
        )
    stored = keyspace.execute("SELECT blobAsBigint(timestampAsBlob(moment)) FROM items WHERE list = %s", [key])
    assert [row[0] for row in stored] == [
        round((moment - datetime(1970, 1, 1)).total_seconds() * 1000) for moment in moments
    ]


async def test_moments_of_our_centuries_are_read_to_the_millisecond(database: Database) -> None:
    key = uuid4()
    moments = moments_of(1850, 1969, 1970, 1999, 2026, 2100, 2240)  # beyond these, drivers count in too few digits
    for at in range(0, len(moments), 20):
        await database.batch(
            [(INSERT_MOMENT, (key, n, moment, n)) for n, moment in enumerate(moments[at : at + 20], at)]
        )
    assert [row.moment for row in await database.select(ALL, key)] == moments


async def test_no_rows_are_an_empty_list_and_none(database: Database) -> None:
    assert await database.select(ALL, uuid4()) == []
    assert await database.select_one(ALL, uuid4()) is None


async def test_in_takes_a_list_of_up_to_two_hundred_ids(database: Database) -> None:
    keys = [uuid4() for _ in range(200)]
    await database.batch([(INSERT_ITEM, (key, 1)) for key in keys[:50]])
    assert {row.list for row in await database.select(PAIRS_OF_MANY, keys)} == set(keys[:50])
    assert await database.select(PAIRS_OF_MANY, [uuid4()]) == []


@pytest.mark.parametrize("is_logged", [True, False])
async def test_a_batch_writes_all_its_steps(database: Database, is_logged: bool) -> None:
    key, other = uuid4(), uuid4()
    batch = database.batch if is_logged else database.batch_unlogged
    await batch([(INSERT_ITEM, (key, 1)), (INSERT_ITEM, (other, 2)), (RATE, (key, other, 4))])
    assert await database.select(PAIRS, key, 10) == [(key, 1)]
    assert await database.select(PAIRS, other, 10) == [(other, 2)]


async def test_counters_count(database: Database) -> None:
    key = uuid4()
    await asyncio.gather(*(database.write(COUNT, key) for _ in range(50)))
    assert await database.select_one(COUNTED, key) == Total(50)


async def test_a_conditional_insert_tells_who_was_first(database: Database) -> None:
    name, owner = f"name {uuid4()}", uuid4()
    assert await database.write_if(CLAIM, name, owner, MOMENT) == Outcome(True, [])
    outcome = await database.write_if(CLAIM, name, uuid4(), MOMENT)
    assert not outcome.applied
    assert len(outcome.current) == 1
    assert {"name": name, "owner": owner, "taken": MOMENT}.items() <= outcome.current[0].items()
    assert type(outcome.current[0]["owner"]) is UUID


async def test_one_of_many_conditional_inserts_wins(database: Database) -> None:
    name = f"name {uuid4()}"
    outcomes = await asyncio.gather(*(database.write_if(CLAIM, name, uuid4(), MOMENT) for _ in range(8)))
    assert sum(outcome.applied for outcome in outcomes) == 1


async def test_a_conditional_batch_moves_static_columns_from_one_version_to_the_next(database: Database) -> None:
    video, ann, bob = uuid4(), uuid4(), uuid4()
    assert (await database.batch_if([(TO_VERSION, (1, 5, video, None)), (RATE, (video, ann, 5))])).applied
    assert (await database.batch_if([(TO_VERSION, (2, 9, video, 1)), (RATE, (video, bob, 4))])).applied
    late = await database.batch_if([(TO_VERSION, (2, 6, video, 1)), (RATE, (video, uuid4(), 1))])
    assert not late.applied
    assert late.current
    assert all(row["version"] == 2 for row in late.current)


async def test_a_conditional_batch_with_several_conditions_applies_only_if_all_hold(database: Database) -> None:
    video, ann, bob = uuid4(), uuid4(), uuid4()
    assert (
        await database.batch_if(
            [(TO_VERSION, (1, 5, video, None)), (RATE_IF_NEW, (video, ann, 5)), (RATE_IF_NEW, (video, bob, 4))]
        )
    ).applied
    outcome = await database.batch_if(
        [(TO_VERSION, (2, 4, video, 1)), (RATE_IF, (3, video, ann, 5)), (RATE_IF, (1, video, bob, 5))]
    )
    assert not outcome.applied
    ratings = {row["user"]: row["rating"] for row in outcome.current if row.get("user")}
    assert ratings == {ann: 5, bob: 4}
    assert {row["version"] for row in outcome.current if "version" in row} == {1}
    assert (
        await database.batch_if(
            [(TO_VERSION, (2, 4, video, 1)), (RATE_IF, (3, video, ann, 5)), (RATE_IF, (1, video, bob, 4))]
        )
    ).applied


async def test_a_scan_reads_every_row_of_a_large_table_once(database: Database, keyspace: Session) -> None:
    keyspace.execute("TRUNCATE items")
    lists = [uuid4() for _ in range(13)]
    for key in lists:
        for at in range(0, 200, 100):
            await database.batch([(INSERT_ITEM, (key, item)) for item in range(at, at + 100)])
    seen = [row async for row in database.scan(EVERY_PAIR)]
    assert len(seen) == 2600
    assert {tuple(row) for row in seen} == {(key, item) for key in lists for item in range(200)}
    assert all(isinstance(row, Pair) for row in seen)
    assert len([row async for row in database.scan(PAIRS_OF_ONE, lists[0])]) == 200


async def test_a_select_is_not_cut_into_chunks(database: Database) -> None:
    key = uuid4()
    for at in range(0, 11_000, 500):
        await database.batch([(INSERT_ITEM, (key, item)) for item in range(at, at + 500)])
    assert len(await database.select(PAIRS, key, 100_000)) == 11_000


async def test_no_statement_begins_after_the_deadline(database: Database) -> None:
    key = uuid4()
    set_time_left(0)
    for work in (
        database.write(INSERT_ITEM, key, 1),
        database.batch([(INSERT_ITEM, (key, 1))]),
        database.write_if(CLAIM, str(key), key, MOMENT),
        database.batch_if([(TO_VERSION, (1, 1, key, None))]),
        database.select(PAIRS, key, 1),
        database.select_one(PAIRS, key, 1),
        anext(database.scan(PAIRS_OF_ONE, key)),
    ):
        with pytest.raises(DeadlineExceeded):
            await work
    set_time_left(None)
    assert await database.select(PAIRS, key, 1) == []


async def test_a_cancelled_statement_leaves_the_session_usable(database: Database) -> None:
    key = uuid4()
    await database.write(INSERT_ITEM, key, 1)
    for delay in (0, 0.0002, 0.001, 0.003) * 5:
        tasks = [asyncio.create_task(database.select(PAIRS, key, 1)) for _ in range(20)]
        await asyncio.sleep(delay)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=5)
        assert all(task.done() for task in tasks)
    assert await database.select(PAIRS, key, 1) == [(key, 1)]


async def test_what_the_database_refuses_is_a_database_error(database: Database) -> None:
    for cql in ("SELECT nothing FROM items", "SELEKT item FROM items", "SELECT item FROM no_such_table"):
        with pytest.raises(DatabaseError):
            await database.prepare([Select(cql, Total)])
    too_many = [(INSERT_ITEM, (uuid4(), 1)), (COUNT, (uuid4(),))]
    with pytest.raises(DatabaseError):  # counters and others do not go into one batch
        await database.batch(too_many)


async def test_a_statement_survives_a_change_of_its_table(database: Database, keyspace: Session) -> None:
    key, extra = uuid4(), f"extra_{uuid4().hex}"
    await database.write(INSERT_ITEM, key, 1)
    keyspace.execute(f"ALTER TABLE items ADD {extra} text")
    keyspace.execute(f"INSERT INTO items (list, item, {extra}) VALUES (%s, 1, 'more')", [key])  # noqa: S608  # made here
    await database.write(INSERT_ITEM, key, 2)
    assert await database.select(PAIRS, key, 9) == [(key, 1), (key, 2)]
    assert len(await database.select(ALL, key)) == 2
    keyspace.execute(f"ALTER TABLE items DROP {extra}")
    assert await database.select(PAIRS, key, 9) == [(key, 1), (key, 2)]


async def test_a_conditional_write_survives_a_change_of_its_table(database: Database, keyspace: Session) -> None:
    name, extra = f"name {uuid4()}", f"extra_{uuid4().hex}"
    assert (await database.write_if(CLAIM, name, uuid4(), MOMENT)).applied
    keyspace.execute(f"ALTER TABLE claims ADD {extra} uuid")
    outcome = await database.write_if(CLAIM, name, uuid4(), MOMENT)
    assert not outcome.applied
    assert outcome.current[0]["name"] == name
    assert (await database.write_if(CLAIM, name + "2", uuid4(), MOMENT)).applied


async def test_a_table_that_was_dropped_is_an_error_and_made_anew_it_serves_again(
    database: Database, keyspace: Session
) -> None:
    keyspace.execute("CREATE TABLE IF NOT EXISTS passing (id uuid PRIMARY KEY, total int)")
    statement = Select("SELECT total FROM passing WHERE id = ?", Total)
    await database.prepare([statement])
    keyspace.execute("DROP TABLE passing")
    with pytest.raises(
        (DatabaseError, Unavailable)
    ):  # acsylla takes a statement that cannot be prepared anew for a lack of nodes
        await database.select(statement, uuid4())
    keyspace.execute("CREATE TABLE passing (id uuid PRIMARY KEY, total int)")
    assert await database.select(statement, uuid4()) == []


async def test_a_write_may_say_when_it_was_written(database: Database, keyspace: Session) -> None:
    key, hour_ahead = uuid4(), (int(time.time()) + 3600) * 1_000_000
    await database.write(INSERT_MOMENT, key, 1, MOMENT, 1, timestamp_us=hour_ahead)
    await database.batch([(INSERT_MOMENT, (key, 1, MOMENT, 2))])
    await database.batch([(INSERT_MOMENT, (key, 2, MOMENT, 3))], timestamp_us=hour_ahead + 1)
    await database.write(INSERT_MOMENT, key, 2, MOMENT, 4)
    rows = keyspace.execute("SELECT big, WRITETIME(big) AS written FROM items WHERE list = %s", [key])
    assert [(row.big, row.written - hour_ahead) for row in rows] == [(1, 0), (3, 1)]


async def test_a_truncated_table_reads_as_empty(database: Database, keyspace: Session) -> None:
    key = uuid4()
    await database.write(INSERT_ITEM, key, 1)
    keyspace.execute("TRUNCATE items")
    assert await database.select(PAIRS, key, 1) == []


async def test_it_says_that_it_answers(database: Database) -> None:
    assert await database.answers()


async def test_many_statements_at_once_are_all_answered(database: Database) -> None:
    keys = [uuid4() for _ in range(500)]
    await asyncio.gather(*(database.write(INSERT_ITEM, key, 7) for key in keys))
    found = await asyncio.gather(*(database.select(PAIRS, key, 1) for key in keys))
    assert found == [[(key, 7)] for key in keys]


@pytest.mark.parametrize("driver", DRIVERS)
async def test_nobody_listening_is_unavailable(driver: str, cassandra: Any) -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await connect(settings_for(cassandra, driver).cassandra, [Address("127.0.0.1", 1)], None)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("driver", DRIVERS)
async def test_one_contact_point_that_answers_is_enough(driver: str, cassandra: Any) -> None:
    database = await connect(
        settings_for(cassandra, driver).cassandra,
        [Address("127.0.0.9", cassandra.port), Address(cassandra.host, cassandra.port)],
        KEYSPACE,
    )
    assert await database.answers()
    await database.close()


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_keyspace_that_does_not_exist_is_unavailable_until_it_does(driver: str, cassandra: Any) -> None:
    with pytest.raises(Unavailable):
        await connect(
            settings_for(cassandra, driver).cassandra, [Address(cassandra.host, cassandra.port)], "no_such_keyspace"
        )


@pytest.mark.parametrize("spelling", ["::1", "[::1]", "[::1]:{port}"])
@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_contact_point_may_be_an_ipv6_address(driver: str, spelling: str, cassandra: Any) -> None:
    """The node listens on IPv4 here, so what comes to its port on ::1 is passed on to it."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(cassandra.host, cassandra.port)
        await asyncio.gather(copy(reader, back), copy(there, writer))

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()

    where = {"dse_contact_points": spelling.format(port=cassandra.port), "cassandra_port": cassandra.port}
    settings = settings_for(cassandra, driver).replace(**where)
    async with await asyncio.start_server(pass_on, "::1", cassandra.port), asyncio.timeout(20):
        database = await connect(settings.cassandra, settings.cassandra.contact_points, KEYSPACE)
        assert await database.answers()
        await database.close()


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_contact_point_whose_name_has_no_address_is_unavailable(driver: str, cassandra: Any) -> None:
    with pytest.raises(Unavailable, match=r"no-such-host\.invalid"):
        await connect(settings_for(cassandra, driver).cassandra, [Address("no-such-host.invalid", 9042)], None)
