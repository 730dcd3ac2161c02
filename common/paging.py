"""Pages of a list. A token holds the cursor: the key of the last row. So it works with another page size, on another instance and after a restart.

A token is base64 text of: a checksum (16 bytes, keyed BLAKE2b over the version, the method, the list and the cursor) and the
cursor itself. It names its method and its list only through the checksum, so one from another call or another list does not verify.

A token is input, whatever its checksum says: the default key is public, and any key may leak. So each list says what its cursors may hold, and
a cursor is read only within these bounds.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Generic, TypeVar
from uuid import UUID

from grpc_discovery import InvalidArgument

Parts = tuple[int | str | UUID, ...]
"""The parts of a cursor as a token holds them."""

Cursor = TypeVar("Cursor")
Row = TypeVar("Row")

MAX_TOKEN_CHARACTERS = 100_000
"""Longer ones are not looked at: a part has at most 65,535 bytes, and no list writes two long ones."""

_VERSION = b"1"
_CHECKSUM_BYTES = 16


class PageTokens(Generic[Cursor]):
    """Writes and reads the tokens of one method."""

    def __init__(self, key: str, method: str, parse: Callable[[Parts], Cursor]) -> None:
        """`key` is the same on all instances (setting KILLRVIDEO_PAGING_KEY).

        `parse` makes a cursor of its parts. It raises ValueError for parts that are not of the shape, or outside the bounds, of what the list
        writes; `integer`, `identifier` and `text` below check one part each.
        """
        self._key = blake2b(key.encode()).digest()[:32]
        self._method, self._parse = method, parse

    def write(self, list_key: str, parts: Parts) -> str:
        """The token that continues the list `list_key` behind the cursor with these parts."""
        packed = _pack(parts)
        return urlsafe_b64encode(self._checksum(list_key, packed) + packed).decode()

    def read(self, token: str, list_key: str) -> Cursor | None:
        """The cursor that a token holds; None for '', the start of the list. Raises InvalidArgument for any token not written for this list."""
        if not token:
            return None
        try:
            if len(token) > MAX_TOKEN_CHARACTERS:
                raise ValueError("is too long")
            raw = urlsafe_b64decode(token.encode("ascii"))
            checksum, packed = raw[:_CHECKSUM_BYTES], raw[_CHECKSUM_BYTES:]
            # Base64 has spare bits and skips foreign characters: only the one spelling that `write` gives is taken.
            genuine = urlsafe_b64encode(raw).decode() == token
            if genuine and hmac.compare_digest(checksum, self._checksum(list_key, packed)):
                return self._parse(_unpack(packed))
        except ValueError:
            pass
        raise InvalidArgument({"paging_state": "is not one that this list gave out"})

    def _checksum(self, list_key: str, packed: bytes) -> bytes:
        # With the list's length before it: a query may hold any character, and its end must not pass for the beginning of a cursor.
        named = list_key.encode()
        name = f"{self._method}\0{len(named)}\0".encode() + named
        return blake2b(_VERSION + name + packed, key=self._key, digest_size=_CHECKSUM_BYTES).digest()


def split_page(rows: Sequence[Row], size: int) -> tuple[Sequence[Row], Row | None]:
    """Split a list that was read with one row more than the page has: the page, and its last row if more follow it (None on the last page)."""
    if len(rows) <= size:
        return rows, None
    return rows[:size], rows[size - 1]


def integer(part: object, minimum: int, maximum: int) -> int:
    """A part that is a whole number from `minimum` to `maximum`. Raises ValueError."""
    if isinstance(part, int) and minimum <= part <= maximum:
        return part
    raise ValueError(f"is no whole number from {minimum} to {maximum}")


def identifier(part: object, version: int | None = None) -> UUID:
    """A part that is a UUID, of one version or of any. Raises ValueError."""
    if isinstance(part, UUID) and version in (None, part.version):
        return part
    raise ValueError("is no UUID of that version")


def text(part: object) -> str:
    """A part that is a text. Raises ValueError."""
    if isinstance(part, str):
        return part
    raise ValueError("is no text")


def _pack(parts: Parts) -> bytes:
    packed = []
    for part in parts:
        if isinstance(part, UUID):
            packed.append(b"u" + part.bytes)
        else:
            spelled = str(part).encode()
            packed.append((b"i" if isinstance(part, int) else b"s") + len(spelled).to_bytes(2, "big") + spelled)
    return b"".join(packed)


def _unpack(packed: bytes) -> Parts:
    parts: list[int | str | UUID] = []
    end = 0
    while end < len(packed):
        kind, start = packed[end : end + 1], end + 1
        if kind == b"u":
            end = start + 16
            parts.append(UUID(bytes=packed[start:end]))
        elif kind in (b"i", b"s"):
            start += 2
            end = start + int.from_bytes(packed[start - 2 : start], "big")
            spelled = packed[start:end].decode()
            parts.append(int(spelled) if kind == b"i" else spelled)
        else:
            raise ValueError("is no part")
    if end != len(packed):
        raise ValueError("ends in the middle of a part")
    return tuple(parts)
