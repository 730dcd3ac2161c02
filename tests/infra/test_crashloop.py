"""What supervisord prints of its services: whole lines, each with its instance, in bounded memory."""

from types import SimpleNamespace

import pytest

from infra.crashloop import MAX_LINE_BYTES, CrashLoop


def printed(capsys: pytest.CaptureFixture[str], *pieces: bytes) -> list[str]:
    """The lines that come of what an instance writes, piece by piece."""
    loop = CrashLoop(None)
    process = SimpleNamespace(config=SimpleNamespace(name="comments-1"))
    for piece in pieces:
        loop._output(SimpleNamespace(process=process, data=piece))
    return capsys.readouterr().out.splitlines()


def test_a_line_is_printed_once_it_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, b"one\ntw", b"o\nthr") == ["comments-1 | one", "comments-1 | two"]


def test_a_line_in_json_has_the_instance_as_its_first_field(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, b'{"time": "now"}\n') == ['{"instance": "comments-1", "time": "now"}']


def test_output_without_an_end_of_line_is_printed_in_pieces(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, *[b"x" * 10_000] * 20)
    assert [len(line) for line in lines] == [len("comments-1 | ") + MAX_LINE_BYTES] * (200_000 // MAX_LINE_BYTES)
