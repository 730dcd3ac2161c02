"""Pages of a list. A token holds the cursor: the key of the last row. So it works with another page size, on another instance and after a restart.

A token is base64 text of: a checksum (16 bytes, keyed BLAKE2b over the version, the method, the list and the cursor) and the
cursor itself. It names its method and its list only through the checksum, so one from another call or another list does not verify.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar
from uuid import UUID

from grpc_discovery import InvalidArgument

Cursor = tuple[int | str | UUID, ...]
Row = TypeVar("Row")

_VERSION = b"1"
_CHECKSUM_BYTES = 16


class PageTokens:
    """Writes and reads the tokens of one method. `key` is the same on all instances (setting KILLRVIDEO_PAGING_KEY)."""

    def __init__(self, key: str, method: str) -> None:
        self._key = blake2b(key.encode()).digest()[:32]
        self._method = method

    def write(self, list_key: str, cursor: Cursor) -> str:
        """The token that continues the list `list_key` behind `cursor`."""
        packed = _pack(cursor)
        return urlsafe_b64encode(self._checksum(list_key, packed) + packed).decode()

    def read(self, token: str, list_key: str) -> Cursor | None:
        """The cursor that a token holds; None for '', the start of the list. Raises InvalidArgument for any token not written for this list."""
        if not token:
            return None
        try:
            raw = urlsafe_b64decode(token.encode("ascii"))
            checksum, packed = raw[:_CHECKSUM_BYTES], raw[_CHECKSUM_BYTES:]
            # Base64 has spare bits and skips foreign characters: only the one spelling that `write` gives is taken.
            genuine = urlsafe_b64encode(raw).decode() == token
            if genuine and hmac.compare_digest(checksum, self._checksum(list_key, packed)):
                return _unpack(packed)
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


def _pack(cursor: Cursor) -> bytes:
    parts = []
    for value in cursor:
        if isinstance(value, UUID):
            parts.append(b"u" + value.bytes)
        else:
            text = str(value).encode()
            parts.append((b"i" if isinstance(value, int) else b"s") + len(text).to_bytes(2, "big") + text)
    return b"".join(parts)


def _unpack(packed: bytes) -> Cursor:
    values: list[int | str | UUID] = []
    end = 0
    while end < len(packed):
        kind, start = packed[end : end + 1], end + 1
        if kind == b"u":
            end = start + 16
            values.append(UUID(bytes=packed[start:end]))
        else:
            end = start + 2 + int.from_bytes(packed[start : start + 2], "big")
            text = packed[start + 2 : end].decode()
            values.append(int(text) if kind == b"i" else text)
    return tuple(values)
