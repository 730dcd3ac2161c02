"""Forged paging tokens of every list: the checksum is right, for the key is the default one; what they hold is random, extreme, or altered."""

import json
from base64 import urlsafe_b64encode
from typing import Any

from hypothesis import strategies as st

from common.paging import PageTokens, Parts, _pack
from common.settings import Settings
from tests.fuzz.calls import Sent, request_of
from tests.fuzz.data import WORDS, Known, ListOf

KEY: str = Settings.model_fields["paging_key"].default
PAGE_SIZES = (1, 2, 10, 1000)

_NUMBERS = (0, 1, -1, 2, 40, 41, 199, 200, 201, 2000, 2001, 3000, 2**31, 2**63, -(2**63), 10**12, -(10**12), 10**4000)
_TEXTS = (
    "",
    "\0",
    "popular",
    "suggested",
    "related",
    "x" * 500,
    "x" * 501,
    "[]",
    "[[],1,[1,1,1]]",
    "[" * 50_000,
    "1" * 5000,
)
_JSON: tuple[Any, ...] = (
    *(None, True, False, [], {}, "", "\0", "\ud800", "x" * 500, "x" * 501, "x" * 20_000, *WORDS[:3]),
    *(0, 1, -1, 400, 401, 2000, 2001, 10**9, 10**30, 0.5, 1e308, float("inf"), float("nan"), [[["police", 1]]]),
)


def forged(known: Known) -> st.SearchStrategy[Sent]:
    """Requests for a page of one of the lists, each with a forged token."""
    return st.one_of(*(_forged_of(each, known) for each in known.lists))


def _forged_of(of: ListOf, known: Known) -> st.SearchStrategy[Sent]:
    part = _part(known)
    altered = st.one_of(*(_altered(of.parts, index, part) for index in range(len(of.parts))))
    any_parts = st.lists(part, max_size=5).map(tuple)
    packed = st.one_of(
        altered.map(_pack),
        altered.map(_pack),
        any_parts.map(_pack),
        st.binary(max_size=60),
        st.builds(lambda parts, cut: _pack(parts)[:cut], altered, st.integers(0, 60)),
    )
    return st.builds(lambda content, size: _request(of, content, size), packed, st.sampled_from(PAGE_SIZES))


def _request(of: ListOf, packed: bytes, page_size: int) -> Sent:
    checksum = PageTokens(KEY, of.call, tuple)._checksum(of.list_key, packed)
    token = urlsafe_b64encode(checksum + packed).decode()
    return request_of(of.call, page_size=page_size, paging_state=token, **of.fields)


def _part(known: Known) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.sampled_from(_NUMBERS),
        st.integers(-(2**70), 2**70),
        st.uuids(),
        st.uuids(version=1),
        st.sampled_from(_TEXTS),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        st.sampled_from([part for of in known.lists for part in of.parts]),
    )


def _altered(parts: Parts, index: int, part: st.SearchStrategy[Any]) -> st.SearchStrategy[Parts]:
    """The honest parts with one of them replaced by another, moved a little, left out, or written twice."""
    before, mine, after = parts[:index], parts[index], parts[index + 1 :]
    replacements: list[st.SearchStrategy[Any]] = [part, st.just(mine)]
    if isinstance(mine, int):
        replacements.append(st.integers(mine - 1000, mine + 1000))
        replacements.append(st.integers(0, 2 * abs(mine) + 200))
    elif isinstance(mine, str) and mine.startswith("["):
        replacements += [_altered_json(mine)] * 3
    replaced = st.one_of(*replacements).map(lambda value: (*before, value, *after))
    return st.one_of(replaced, replaced, replaced, st.sampled_from([before + after, (*before, mine, mine, *after)]))


@st.composite
def _altered_json(draw: st.DrawFn, text: str) -> str:
    """JSON with a value somewhere in it replaced, or a list in it grown."""
    whole = [json.loads(text)]
    for _ in range(draw(st.integers(1, 3))):
        inside: Any = whole
        index = 0
        while draw(st.integers(0, 3)) and isinstance(inside[index], list) and inside[index]:
            inside = inside[index]
            index = draw(st.integers(0, len(inside) - 1))
        if isinstance(inside[index], list) and draw(st.booleans()):
            inside[index] = inside[index] * draw(st.sampled_from([2, 7, 41, 300]))
        else:
            inside[index] = draw(st.sampled_from(_JSON))
    # A lone surrogate passes as an escape, where UTF-8 could not hold it.
    return json.dumps(whole[0])[:65_000]
