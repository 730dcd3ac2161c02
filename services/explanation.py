"""Why an answer is as it is: told in the trailing metadata of a call, to callers that ask for it in their metadata.

    call with the metadata   killrvideo-explain: 1
    answer's trailing        killrvideo-explanation: [{"video_id": ..., ...}, ...]     JSON in ASCII, one entry a result, in their order

Metadata is meant to be small, and clients refuse more than 8 KiB of it: results that do not fit are left out, from the end. Where the caller asks
for the trace of the call too, each of the two has half.
"""

import json
from collections.abc import Iterable
from typing import Any

from common.catalogue import TRACE_KEY

REQUEST_KEY = "killrvideo-explain"
ANSWER_KEY = "killrvideo-explanation"
MAX_BYTES = 6000
"""Of an explanation, or of one and a trace together."""


def explanation_wanted(context: Any) -> bool:
    """Whether the caller asked for reasons."""
    return _asks_for(REQUEST_KEY, context)


def explain(context: Any, reasons: Iterable[dict[str, Any]]) -> None:
    """Send the reasons, one for each result, along with the answer. No more of them are made than fit."""
    entries: list[str] = []
    size = 2
    max_bytes = MAX_BYTES // 2 if _asks_for(TRACE_KEY, context) else MAX_BYTES
    for reason in reasons:
        entry = json.dumps(reason, separators=(",", ":"))
        size += len(entry) + 1
        if size > max_bytes:
            break
        entries.append(entry)
    context.set_trailing_metadata(((ANSWER_KEY, f"[{','.join(entries)}]"),))


def _asks_for(wanted: str, context: Any) -> bool:
    return any(key == wanted and value == "1" for key, value in context.invocation_metadata() or ())
