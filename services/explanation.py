"""Why an answer is as it is: told in the trailing metadata of a call, to callers that ask for it in their metadata.

    call with the metadata   killrvideo-explain: 1
    answer's trailing        killrvideo-explanation: [{"video_id": ..., ...}, ...]     JSON in ASCII, one entry a result, in their order

Metadata is meant to be small, and clients refuse more than 8 KiB of it: results that do not fit are left out, from the end.
"""

import json
from collections.abc import Iterable
from typing import Any

REQUEST_KEY = "killrvideo-explain"
ANSWER_KEY = "killrvideo-explanation"
MAX_BYTES = 6000


def explanation_wanted(context: Any) -> bool:
    """Whether the caller asked for reasons."""
    return any(key == REQUEST_KEY and value == "1" for key, value in context.invocation_metadata() or ())


def explain(context: Any, reasons: Iterable[dict[str, Any]]) -> None:
    """Send the reasons, one for each result, along with the answer. No more of them are made than fit."""
    entries: list[str] = []
    size = 2
    for reason in reasons:
        entry = json.dumps(reason, separators=(",", ":"))
        size += len(entry) + 1
        if size > MAX_BYTES:
            break
        entries.append(entry)
    context.set_trailing_metadata(((ANSWER_KEY, f"[{','.join(entries)}]"),))
