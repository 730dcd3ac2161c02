"""Words with signs that mean something: `c#`, `.net`, `node.js`, `4.0`, `H&M`, `CI/CD`, and emoji.

The index holds them beside the plain words, never instead: `node.js` is found as typed, and still by `node` and by `js`.

    sign_words("C# 4.0 🔥")    -> ["c#", "4.0", "🔥"]
    folded("C# 4.0 🔥")        -> ["c", "4", "0"]
"""

import re
from collections.abc import Iterator
from itertools import islice

from language.text import fold

MAX_SIGN_WORDS = 64
"""The first words with signs of a field that are indexed, each as often as it occurs there before this many others."""

_EMOJI = "\u2300-\u23ff\u25a0-\u27bf\u2b00-\u2bff\U0001f000-\U0001f1e5\U0001f200-\U0001f3fa\U0001f400-\U0001faff"
_SIGN_WORD = re.compile(
    rf"""
      (?:https?://|www\.)\S+                                        # an address is none: skipped as a whole
    | (?P<word>
          (?<!\w) [^\W\d_]\w{{0,19}} (?: \+\+(?![\#+]) | [\#+](?![\w\#+]) )          # c#, c++, disney+
        | (?<![\w.]) \w{{1,20}} (?: (?: \.\w{{1,20}} ){{1,3}} (?![\w.]*\w) | & \w{{1,12}}(?!\w) | (?: /\w{{1,6}} ){{1,2}}(?![\w/]) )   # node.js, 4.0, h&m, ci/cd
        | (?<![\w.]) \.[^\W\d_]\w{{1,19}} (?![\w.]*\w)               # .net
        | [\U0001f1e6-\U0001f1ff]{{2}} | [{_EMOJI}]                   # a flag, an emoji
      )
    """,
    re.VERBOSE,
)


def sign_words(text: str) -> Iterator[str]:
    """The words with signs of a text in their order, at most MAX_SIGN_WORDS, without case and accents. Skin tones and variants of emoji are left out."""
    found = (match["word"] for match in _SIGN_WORD.finditer(text.casefold()) if match["word"])
    return islice((word if word.isascii() else fold(word) for word in found), MAX_SIGN_WORDS)
