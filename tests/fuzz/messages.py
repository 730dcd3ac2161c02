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
_REPEATED_SOME, _REPEATED_MANY = (0, 1, 2, 3), (100, 101, 200, 201, 1000, 20_000)

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


def requests(known: Known) -> st.SearchStrategy[Sent]:
    """Requests of all calls, of each as often."""
    values = _Values(known)
    return st.one_of(*(values.message(call.request).map(_sent_with(name)) for name, call in CALLS.items()))


def _sent_with(name: str) -> Any:
    return lambda request: Sent(name, request)


class _Values:
    """What fields may hold, by their names and types."""

    def __init__(self, known: Known) -> None:
        ids = known.user_ids + known.video_ids + known.comment_ids
        words = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(" ".join)
        any_text = st.one_of(words, _random_texts, _odd_texts, _long_texts, _many_words)
        # Most ids are good ones: a request with a bad one goes no further.
        self._id = st.one_of(
            *[st.sampled_from(ids)] * 6,
            st.sampled_from(known.comment_ids),
            st.uuids().map(str),
            st.sampled_from(ids).map(str.upper),
            st.sampled_from(["", "nope", "0" * 36, f"{{{ids[0]}}}", ids[0].replace("-", ""), "\0" * 36]),
            any_text,
        )
        self._text = any_text
        self._texts_by_name = {
            "email": st.one_of(
                st.sampled_from(known.emails),
                st.uuids().map("{}@example.org".format),
                st.sampled_from(["@", "a@", "a@b@c.d", "a\0@b.c", "\u0130@\u0130.org", f"{'a' * 300}@example.org"]),
                any_text,
            ),
            "password": st.one_of(st.just(PASSWORD), any_text),
            "upload_url": st.one_of(
                st.sampled_from(
                    ["https://example.org/a.mp4", "http://[", "http://[::1]/\0", "https://\u2488.com", "//a"]
                ),
                any_text,
            ),
            "paging_state": st.one_of(*[st.just("")] * 8, any_text),
        }

    def message(self, descriptor: Descriptor) -> st.SearchStrategy[Message]:
        """A message in which any field may be left out."""
        if descriptor.full_name in ("killrvideo.common.Uuid", "killrvideo.common.TimeUuid"):
            return self._id.map(lambda value: message_factory.GetMessageClass(descriptor)(value=value))
        fields = {field.name: self._field(field) for field in descriptor.fields}
        left_out = st.sampled_from([()] * 6 + [(name,) for name in fields])

        def build(values: dict[str, Any], without: tuple[str, ...]) -> Message:
            kept = {name: value for name, value in values.items() if name not in without}
            return message_factory.GetMessageClass(descriptor)(**kept)

        return st.builds(build, st.fixed_dictionaries(fields), left_out)

    def _field(self, field: FieldDescriptor) -> st.SearchStrategy[Any]:
        value = self._value(field)
        if not field.is_repeated:
            return value
        some = st.lists(value, max_size=max(_REPEATED_SOME))
        # Many, but few different ones: hypothesis need not draw each.
        many = st.builds(
            lambda drawn, count: (drawn * count)[:count],
            st.lists(value, min_size=1, max_size=3),
            st.sampled_from(_REPEATED_MANY),
        )
        distinct = st.sampled_from(_REPEATED_MANY[:4]).map(lambda count: [f"tag {number}" for number in range(count)])
        return st.one_of(some, some, many, distinct) if field.type == field.TYPE_STRING else st.one_of(some, some, many)

    def _value(self, field: FieldDescriptor) -> st.SearchStrategy[Any]:
        if field.type == field.TYPE_MESSAGE:
            return self.message(field.message_type)
        if field.type == field.TYPE_STRING:
            return self._texts_by_name.get(field.name, self._text)
        minimum, maximum = _INTEGERS[field.type]
        boundaries = [number for number in _BOUNDARIES if minimum <= number <= maximum]
        return st.one_of(
            st.sampled_from(boundaries),
            st.integers(1, 1000),
            st.integers(minimum, maximum),
            st.sampled_from([minimum, maximum]),
        )
