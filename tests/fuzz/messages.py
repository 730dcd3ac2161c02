"""Requests of every call: valid, nearly valid, extreme and random, made from the descriptors of the .proto files."""

from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st

from tests.fuzz.calls import CALLS, Sent
from tests.fuzz.data import PASSWORD, WORDS, Known

_INTEGERS = {
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
}
_BOUNDARIES = (0, 1, 2, 3, 5, 6, 200, 201, 1000, 1001, 1_700_000_000, 253_402_300_799, 253_402_300_800, -62_135_596_801)
_REPEATED_MANY = (100, 101, 200, 201, 1000, 20_000)

MAX_TOGETHER = 5_000_000
"""Bytes of a repeated field, about: gRPC takes 4 MiB."""

# Characters that texts go wrong on: NUL, a quote, a combining mark, one of four bytes, Han (which has no spaces), one that grows when it is
# folded, a surrogate's neighbours, what SQL and paths are made of.
_ODD = "\0'\"%_\\/;-\u0301\U0001f600\u6f22\u0130\ufb03\ud7ff\ue000\uffff\u202e\x1b \t\n"
_LENGTHS = (1, 200, 201, 500, 501, 1000, 1001, 5000, 5001, 20_000, 20_001, 140_000)
_PIECES = ("a", "\u6f22", "\U0001f600", "\u0301", "a ", "\u6f22 ", "1.", "\0", "'", "-", '"a" ', "running ")

_random_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_odd_texts = st.text(st.sampled_from(_ODD), max_size=12)
_long_texts = st.builds(
    lambda piece, length: (piece * length)[:length], st.sampled_from(_PIECES), st.sampled_from(_LENGTHS)
)
_many_words = st.builds(
    lambda count, first: " ".join(f"{chr(first + number % 20)}{number:x}" for number in range(count)),
    st.sampled_from((40, 41, 400, 3000)),
    st.sampled_from((0x61, 0x430, 0x6F22)),
)


def _size(values: list[Any]) -> int:
    """About how many bytes the largest of some texts or messages takes."""
    return max(4 * len(value) if isinstance(value, str) else value.ByteSize() for value in values) + 1


def requests(known: Known) -> st.SearchStrategy[Sent]:
    """Requests of all calls, of each as often."""
    values = _Values(known)
    return st.one_of(*(values.message(call.request).map(_sent_with(name)) for name, call in CALLS.items()))


def _sent_with(name: str) -> Any:
    return lambda request: Sent(name, request)


class _Values:
    """What fields may hold, by their names and types: what is valid there, and what may be anything."""

    def __init__(self, known: Known) -> None:
        ids = known.user_ids + known.video_ids + known.comment_ids
        words = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(" ".join)
        text = st.one_of(words, _random_texts, _odd_texts, _long_texts, _many_words)
        valid_id = st.one_of(st.sampled_from(ids), st.uuids().map(str), st.sampled_from(ids).map(str.upper))
        odd_ids = ["", "nope", "0" * 36, f"{{{ids[0]}}}", ids[0].replace("-", ""), "\0" * 36, "\uff10" * 36]
        odd_emails = ["@", "a@", "a@b@c.d", "a\0@b.c", "\u0130@\u0130.org", f"{'a' * 300}@example.org"]
        odd_urls = [
            "http://[",
            "http://[::1]/\0",
            "https://\u2488.com",
            "//a",
            "http://a:99999999999/",
            "https://\u3000",
        ]
        self._valid_texts: dict[str, st.SearchStrategy[str]] = {
            "killrvideo.common.Uuid.value": valid_id,
            "killrvideo.common.TimeUuid.value": st.one_of(
                st.sampled_from(known.comment_ids), st.uuids(version=1).map(str)
            ),
            "email": st.one_of(st.sampled_from(known.emails), st.uuids().map("{}@example.org".format)),
            "password": st.just(PASSWORD),
            "upload_url": st.just("https://example.org/a.mp4"),
            "paging_state": st.just(""),
            "": words,
        }
        self._any_texts: dict[str, st.SearchStrategy[str]] = {
            "killrvideo.common.Uuid.value": st.one_of(st.sampled_from(odd_ids), text),
            "killrvideo.common.TimeUuid.value": st.one_of(st.sampled_from(odd_ids), valid_id, text),
            "email": st.one_of(st.sampled_from(odd_emails), text),
            "upload_url": st.one_of(st.sampled_from(odd_urls), text),
            "": text,
        }

    def message(self, descriptor: Descriptor, *, valid: bool = False) -> st.SearchStrategy[Message]:
        """A message: valid, with up to three fields replaced by anything or left out, or of anything in all fields."""
        make = message_factory.GetMessageClass(descriptor)
        all_valid = st.fixed_dictionaries({field.name: self._valid(field) for field in descriptor.fields})
        if valid:
            return all_valid.map(lambda fields: make(**fields))
        anything = {field.name: self._anything(field) for field in descriptor.fields}
        replaced = st.one_of(
            *(st.tuples(st.just(name), st.one_of(st.none(), *[value] * 4)) for name, value in anything.items())
        )
        nearly_valid = st.builds(
            lambda fields, changes: make(**fields | dict(changes)), all_valid, st.lists(replaced, max_size=3)
        )
        return st.one_of(
            *[nearly_valid] * 7, st.fixed_dictionaries({}, optional=anything).map(lambda fields: make(**fields))
        )

    def _valid(self, field: FieldDescriptor) -> st.SearchStrategy[Any]:
        if field.message_type:
            value: st.SearchStrategy[Any] = self.message(field.message_type, valid=True)
        elif field.type == field.TYPE_STRING:
            value = self._text_of(self._valid_texts, field)
        else:
            value = st.one_of(
                st.integers(1, 5), st.sampled_from([1000]) if field.name == "page_size" else st.integers(1, 5)
            )
        return st.lists(value, min_size=1, max_size=3) if field.is_repeated else value

    def _anything(self, field: FieldDescriptor) -> st.SearchStrategy[Any]:
        value = self._any_value(field)
        if not field.is_repeated:
            return value
        some = st.lists(value, max_size=3)
        # Many, but few different ones: hypothesis need not draw each.
        many = st.builds(
            lambda drawn, count: (drawn * count)[: min(count, max(len(drawn), MAX_TOGETHER // _size(drawn)))],
            st.lists(value, min_size=1, max_size=3),
            st.sampled_from(_REPEATED_MANY),
        )
        if field.type != field.TYPE_STRING:
            return st.one_of(some, many)
        distinct = st.builds(
            lambda count, piece, length: [f"{number:03}".ljust(length, piece) for number in range(count)],
            st.sampled_from((99, 100, 101)),
            st.sampled_from(_PIECES[:3]),
            st.sampled_from((5, 199, 200, 201)),
        )
        return st.one_of(some, many, distinct)

    def _any_value(self, field: FieldDescriptor) -> st.SearchStrategy[Any]:
        if field.message_type:
            return self.message(field.message_type)
        if field.type == field.TYPE_STRING:
            return self._text_of(self._any_texts, field)
        minimum, maximum = _INTEGERS[field.type]
        boundaries = [number for number in (*_BOUNDARIES, minimum, maximum) if minimum <= number <= maximum]
        return st.one_of(st.sampled_from(boundaries), st.integers(1, 1000), st.integers(minimum, maximum))

    @staticmethod
    def _text_of(texts: dict[str, st.SearchStrategy[str]], field: FieldDescriptor) -> st.SearchStrategy[str]:
        return texts.get(field.full_name, texts.get(field.name, texts[""]))
