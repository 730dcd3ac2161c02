"""Paging tokens: each cursor comes back, and no other text is taken for a token."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any
from uuid import UUID, uuid1, uuid4

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from common.paging import MAX_TOKEN_CHARACTERS, PageTokens, Parts, identifier, integer, split_page, text
from grpc_discovery import InvalidArgument


def pages_with(key: str, method: str) -> PageTokens[Parts]:
    """Tokens of a list whose cursors may hold anything."""
    return PageTokens(key, method, lambda parts: parts)


PAGES = pages_with("key", "GetVideoComments")
LIST = str(uuid4())

values = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.uuids(), st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
)
cursors = st.lists(values, max_size=4).map(tuple)
texts = st.text(st.characters(exclude_categories=["Cs"]))


def refused(token: str, pages: PageTokens[Any] = PAGES, list_key: str = LIST) -> bool:
    with pytest.raises(InvalidArgument) as raised:
        pages.read(token, list_key)
    return set(raised.value.violations) == {"paging_state"}


@given(cursors, texts)
def test_a_cursor_comes_back_as_it_was(cursor: Parts, list_key: str) -> None:
    token = PAGES.write(list_key, cursor)
    assert PAGES.read(token, list_key) == cursor
    assert [type(value) for value in PAGES.read(token, list_key) or ()] == [type(value) for value in cursor]


@given(cursors)
def test_a_token_works_on_another_instance_with_the_same_key_alone(cursor: Parts) -> None:
    token = PAGES.write(LIST, cursor)
    assert pages_with("key", "GetVideoComments").read(token, LIST) == cursor
    assert refused(token, pages_with("another key", "GetVideoComments"))


@given(cursors, texts)
def test_a_token_of_another_list_or_another_call_is_refused(cursor: Parts, other: str) -> None:
    assume(other != LIST)
    token = PAGES.write(LIST, cursor)
    assert refused(token, list_key=other)
    assert refused(token, pages_with("key", "GetUserComments"))


def test_the_end_of_a_list_does_not_pass_for_the_beginning_of_a_cursor() -> None:
    raw = urlsafe_b64decode(PAGES.write("query", (1,)))
    checksum, kind, rest = raw[:16], raw[16:17], raw[18:]
    assert raw[17:18] == b"\0"
    assert refused(urlsafe_b64encode(checksum + rest).decode(), list_key=f"query\0{kind.decode()}")


@given(texts)
def test_a_text_that_is_no_token_is_refused(token: str) -> None:
    assume(token)
    assert refused(token)


@given(cursors, st.data())
def test_a_token_with_one_character_changed_cut_or_added_is_refused(cursor: Parts, data: st.DataObject) -> None:
    token = PAGES.write(LIST, cursor)
    at = data.draw(st.integers(0, len(token) - 1))
    character = data.draw(st.sampled_from("ABab01-_=+/ \n.é"))
    changed = data.draw(
        st.sampled_from(
            [
                token[:at] + character + token[at + 1 :],
                token[:at],
                token[:at] + character + token[at:],
                token + character,
            ]
        )
    )
    assume(changed not in (token, ""))
    assert refused(changed)


@given(cursors, st.data())
def test_a_token_with_one_bit_flipped_is_refused(cursor: Parts, data: st.DataObject) -> None:
    raw = bytearray(urlsafe_b64decode(PAGES.write(LIST, cursor)))
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    assert refused(urlsafe_b64encode(raw).decode())


def test_an_empty_token_is_the_start_of_the_list() -> None:
    assert PAGES.read("", LIST) is None


@given(st.lists(st.integers(), max_size=40, unique=True), st.integers(1, 10))
def test_pages_cut_one_by_one_give_every_row_once(rows: list[int], size: int) -> None:
    found: list[int] = []
    after = 0
    while True:
        page, last = split_page(rows[after : after + size + 1], size)
        found.extend(page)
        if last is None:
            break
        assert len(page) == size
        assert last == page[-1]
        after = rows.index(last) + 1
    assert found == rows


def test_a_full_page_that_is_the_last_has_no_more() -> None:
    assert split_page([1, 2, 3], 3) == ([1, 2, 3], None)
    assert split_page([1, 2, 3, 4], 3) == ([1, 2, 3], 3)


def test_a_token_shows_none_of_the_list_it_belongs_to() -> None:
    token = PAGES.write(LIST, (UUID(int=5),))
    assert LIST.encode() not in urlsafe_b64decode(token)


def test_a_token_that_is_too_long_is_not_looked_at() -> None:
    assert refused("A" * (MAX_TOKEN_CHARACTERS + 4))


def of_a_number(parts: Parts) -> int:
    [number] = parts
    return integer(number, 0, 5)


@pytest.mark.parametrize("forged", [(), (6,), (-1,), ("5",), (uuid4(),), (1, 2), (10**4000,)])
def test_parts_that_a_list_never_writes_are_refused_though_the_checksum_is_right(forged: Parts) -> None:
    pages = PageTokens("key", "GetVideoComments", of_a_number)
    assert pages.read(pages.write(LIST, (5,)), LIST) == 5
    assert refused(pages.write(LIST, forged), pages)


@pytest.mark.parametrize(
    "packed", [b"i", b"i\0\x05", b"i\0\1x", b"u123", b"s\0\1\xff", b"x", b"i\xff\xff" + b"9" * 65_535]
)
def test_bytes_that_are_no_parts_are_refused_though_the_checksum_is_right(packed: bytes) -> None:
    checksum = PAGES._checksum(LIST, packed)
    assert refused(urlsafe_b64encode(checksum + packed).decode())


def test_a_part_is_what_its_list_expects() -> None:
    value = uuid1()
    assert identifier(value, version=1) == value
    assert text("plan") == "plan"
    for wrong in (
        lambda: identifier(uuid4(), version=1),
        lambda: identifier("x"),
        lambda: text(5),
        lambda: integer("5", 0, 9),
    ):
        with pytest.raises(ValueError, match="is no"):
            wrong()
