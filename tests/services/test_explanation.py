"""How much of an explanation fits into an answer's trailing metadata."""

import json
from typing import Any

import pytest

from common.catalogue import TRACE_KEY
from services.explanation import ANSWER_KEY, REQUEST_KEY, explain, explanation_wanted


class Call:
    """The context of a call with this metadata."""

    def __init__(self, *metadata: tuple[str, str]) -> None:
        self._metadata = metadata
        self.trailing: dict[str, str] = {}

    def invocation_metadata(self) -> Any:
        return self._metadata or None

    def set_trailing_metadata(self, metadata: Any) -> None:
        self.trailing = dict(metadata)


@pytest.mark.parametrize(
    ("trace", "max_bytes"), [((), 6_000), (((TRACE_KEY, "0"),), 6_000), (((TRACE_KEY, "1"),), 3_000)]
)
def test_an_explanation_takes_6000_bytes_or_half_where_the_trace_is_asked_for_too(trace: Any, max_bytes: int) -> None:
    call, reasons = (
        Call((REQUEST_KEY, "1"), *trace),
        [{"video_id": number, "because": "ü" * 20} for number in range(900)],
    )
    explain(call, reasons)
    told = call.trailing[ANSWER_KEY]
    assert max_bytes - 200 < len(told) <= max_bytes
    assert json.loads(told) == reasons[: len(json.loads(told))]


def test_an_explanation_is_made_for_those_who_ask() -> None:
    assert explanation_wanted(Call((REQUEST_KEY, "1")))
    assert not any(map(explanation_wanted, (Call(), Call((REQUEST_KEY, "0")), Call((TRACE_KEY, "1")))))
