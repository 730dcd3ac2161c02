"""E-mail addresses: what is one, and when two are the same."""

import re
import unicodedata

MAX_CHARACTERS = 254
"""What a mail server takes (RFC 5321, 4.5.3.1.3, less the two brackets)."""

_MAX_BEFORE_AT = 64
_ATOM = r"[^\s@.\"(),:;<>\[\]\\]+"
_LABEL = r"[^\W_](?:[^\W_]|-(?=-*[^\W_])){0,62}"
_ADDRESS = re.compile(rf"(?P<local>{_ATOM}(?:\.{_ATOM})*)@{_LABEL}(?:\.{_LABEL})+")


def is_email_address(text: str) -> bool:
    """Whether `text` looks like an address: name@domain, the domain with a dot, letters of any script, no quotes or spaces.

    Characters that cannot be seen (control characters, zero width spaces, marks that reverse the direction of writing) are none of an address:
    two that look alike would be two users.
    """
    if len(text) > MAX_CHARACTERS or not text.isprintable():
        return False
    match = _ADDRESS.fullmatch(text)
    return match is not None and len(match["local"]) <= _MAX_BEFORE_AT


def email_key(address: str) -> str:
    """The form under which an address is unique: one spelling of each accent (NFC), and no regard to case in any script."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", address).casefold())
