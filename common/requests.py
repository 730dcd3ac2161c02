"""Reading requests. What a field may hold is said in section 2 of the contract.

An id is the 36-character form of a UUID in any case. A text is measured in characters (code points).
"""

import re
from datetime import datetime
from typing import Protocol
from uuid import UUID

from google.protobuf.message import Message

from common.ids import NIL
from common.paging import Cursor, PageTokens
from common.timestamps import from_message
from grpc_discovery import InvalidArgument

MAX_IDS = 200
MAX_PAGE_SIZE = 1000

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)


class _Id(Protocol):
    value: str


class RequestReader:
    """Reads the fields of one request, one after another. `raise_if_invalid` then raises one InvalidArgument that names all wrong ones."""

    def __init__(self, request: Message) -> None:
        self._request = request
        self._violations: dict[str, str] = {}

    def add_violation(self, name: str, description: str) -> None:
        """Note what is wrong with a field; the first description of a field stays."""
        self._violations.setdefault(name, description)

    def raise_if_invalid(self) -> None:
        """Raise InvalidArgument if any field read so far was wrong."""
        if self._violations:
            raise InvalidArgument(self._violations)

    def uuid(self, name: str) -> UUID:
        """A required UUID."""
        return self._id(name, self._id_text(name))

    def optional_uuid(self, name: str) -> UUID | None:
        """A UUID, or None where it is empty or was not sent."""
        text = self._id_text(name)
        return self._id(name, text) if text else None

    def time_uuid(self, name: str) -> UUID:
        """A required version-1 UUID."""
        return self._time_id(name, self._id_text(name))

    def optional_time_uuid(self, name: str) -> UUID | None:
        """A version-1 UUID, or None where it is empty or was not sent."""
        text = self._id_text(name)
        return self._time_id(name, text) if text else None

    def uuids(self, name: str, limit: int = MAX_IDS) -> list[UUID]:
        """One to `limit` UUIDs."""
        sent: list[_Id] = getattr(self._request, name)
        if not 1 <= len(sent) <= limit:
            self.add_violation(name, f"must hold 1 to {limit} ids, not {len(sent)}")
            return []
        return [self._id(name, message.value) for message in sent]

    def text(self, name: str, max_characters: int, blank_allowed: bool = False) -> str:
        """A text of at most `max_characters`, as it was sent; not blank unless that is allowed."""
        text: str = getattr(self._request, name)
        if len(text) > max_characters:
            self.add_violation(name, f"must have at most {max_characters:,} characters, not {len(text):,}")
        elif not blank_allowed and not text.strip():
            self.add_violation(name, "must not be blank")
        return text

    def integer(self, name: str, minimum: int, maximum: int) -> int:
        """A whole number from `minimum` to `maximum`."""
        number: int = getattr(self._request, name)
        if not minimum <= number <= maximum:
            self.add_violation(name, f"must be {minimum} to {maximum}, not {number}")
        return number

    def page_size(self) -> int:
        """How many rows a page is to have, 1 to 1000."""
        return self.integer("page_size", 1, MAX_PAGE_SIZE)

    def cursor(self, tokens: PageTokens[Cursor], list_key: str, named_by: str = "") -> Cursor | None:
        """Where the last page of the list `list_key` ended, by the request's paging_state; None at the start of the list.

        `named_by` is the field that names the list: where that field is wrong, nothing can be said of the token.
        """
        if named_by in self._violations:
            return None
        try:
            return tokens.read(self._request.paging_state, list_key)  # type: ignore[attr-defined]  # of every paged request
        except InvalidArgument as error:
            self._violations.update(error.violations)
            return None

    def optional_timestamp(self, name: str) -> datetime | None:
        """A timestamp cut to whole milliseconds (naive, UTC), or None where it was not sent."""
        if not self._request.HasField(name):
            return None
        try:
            return from_message(getattr(self._request, name))
        except ValueError as error:
            self.add_violation(name, str(error))
            return None

    def _id_text(self, name: str) -> str:
        sent: _Id = getattr(self._request, name)
        return sent.value

    def _id(self, name: str, text: str) -> UUID:
        if _UUID.fullmatch(text):
            return UUID(text)
        self.add_violation(name, f"is not a UUID: {text[:50]!r}" if text else "is required")
        return NIL

    def _time_id(self, name: str, text: str) -> UUID:
        value = self._id(name, text)
        if value is not NIL and value.version != 1:
            self.add_violation(name, f"is not a version-1 UUID: {text!r}")
        return value
