"""The table of who serves where, as a person reads it."""

import os
import sys

import pytest

from infra.fleet import SERVICES, SERVING, Seen, table

SEEN = [
    Seen(
        slug,
        f"127.0.0.1:{8101 + 100 * number}",
        f"/killrvideo/services/{name}/127.0.0.1:{8101 + 100 * number}",
        SERVING,
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
