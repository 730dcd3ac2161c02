"""What a person reads while a command waits: what for, why, for how long, and not the same line again and again."""

from infra.waiting import PATIENCE_SECONDS, REPEAT_SECONDS, Waiting, with_reasons

TEXT_LOG = """\
2026-01-01 00:00:00,000 INFO spawned: 'comments-1' with pid 7
comments-1 | 2026-01-01 00:00:01,000 INFO    common.database.factory: waiting for Cassandra to be advertised
comments-1 | 2026-01-01 00:00:02,000 INFO    common.database.factory: waiting for Cassandra: no connection to 10.9.9.9:9042
ratings-1 | 2026-01-01 00:00:02,000 INFO    common.database.factory: waiting for Cassandra: no connection to 10.9.9.9:9042
search-1 | 2026-01-01 00:00:02,000 INFO    common.database.factory: waiting for Cassandra to be advertised
search-1 | 2026-01-01 00:00:03,000 INFO    common.database.factory: connected to Cassandra at 10.9.9.9:9042
"""

JSON_LOG = """\
{"instance": "video_catalog-1", "time": "2026-01-01T00:00:00.000Z", "message": "waiting for the registry: no answer"}
{"instance": "user_management-1", cut off
"""


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_a_line_comes_when_something_changes_and_otherwise_now_and_then_with_the_seconds_waited() -> None:
    clock, lines = Clock(), list[str]()
    waiting = Waiting(clock, lines.append)
    for second in range(41):
        clock.seconds = 100.0 + second
        waiting.show("Cassandra" if second < 30 else "comments")
    assert lines == [
        f"waiting for Cassandra ({PATIENCE_SECONDS:.0f} s)",
        f"waiting for Cassandra ({PATIENCE_SECONDS + REPEAT_SECONDS:.0f} s)",
        "waiting for comments (30 s)",
    ]


def test_services_that_wait_are_named_with_the_reason_that_they_give_themselves() -> None:
    assert with_reasons(["comments", "ratings", "search"], TEXT_LOG) == (
        "comments, ratings, which are waiting for Cassandra: no connection to 10.9.9.9:9042; search"
    )


def test_a_reason_is_found_in_json_too_and_a_line_that_was_cut_off_is_left_aside() -> None:
    assert with_reasons(["video_catalog", "user_management"], JSON_LOG) == (
        "video_catalog, which is waiting for the registry: no answer; user_management"
    )
