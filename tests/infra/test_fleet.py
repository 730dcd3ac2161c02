"""The table of who serves where, as a person reads it."""

import os
import sys
from dataclasses import replace

import pytest

from infra.fleet import SERVICES, InstanceHealth, Seen, changes, table

SEEN = [
    Seen(
        slug,
        f"127.0.0.1:{8101 + 100 * number}",
        f"/killrvideo/services/{name}/127.0.0.1:{8101 + 100 * number}",
        InstanceHealth.SERVING,
    )
    for number, (slug, name) in enumerate(SERVICES.items())
]


def test_a_pipe_gets_whole_keys() -> None:
    assert all(one.key in table(SEEN) for one in SEEN)


@pytest.mark.parametrize(("columns", "whole"), [(80, False), (120, True)])
def test_no_line_is_longer_than_the_terminal_is_wide(
    columns: int, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((columns, 24)))
    text = table(SEEN)
    assert all(len(line) <= columns for line in text.splitlines())
    assert ("/killrvideo/services/CommentsService/127.0.0.1:8101" in text) is whole
    assert "CommentsService/127.0.0.1:8101" in text


def test_what_happened_between_two_looks_is_a_line_each() -> None:
    comments, ratings, search, *_ = SEEN
    silent = replace(comments, key="", health=InstanceHealth.NO_ANSWER)
    assert changes([comments, ratings], [silent, search]) == [
        f"comments {comments.address}: health serving -> no answer, no longer advertised",
        f"ratings {ratings.address} went",
        f"search {search.address} came: serving, advertised as {search.key}",
    ]
