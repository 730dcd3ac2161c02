"""What somebody typed, taken apart: words, words with signs, phrases in quotes, and what a minus excludes.

Such as `cassandra "data model" c# -kubernetes`: a word, a phrase, a word with signs and an excluded word.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from language.signs import sign_words
from language.text import MAX_TERM, STOP_WORDS, bigrams, folded, is_unspaced, stem, words

MAX_WORDS = 40
"""Different words that a query may ask for; the rest is left out."""

MAX_SIGN_WORDS, MAX_PHRASES, MAX_EXCLUDED = 4, 4, 8

MAX_PARTS = 4
"""Plain words in a word with signs. What has more, such as `my_cat_at_home.mp4`, is asked for by its plain words alone."""

_QUOTED = re.compile(r'(?<!\S)(?P<minus>-)?"(?P<phrase>[^"]+)"')
_EXCLUDED = re.compile(r"(?<!\S)-(?=[^\s-])(?P<word>\S+)")

Words = tuple[str, ...]


class QueryWord(NamedTuple):
    """A word that a query asks for: as folded, as the index holds it, how often it is asked for, and whether it must stand as typed."""

    word: str
    term: str
    times: int
    quoted: bool


class SignWord(NamedTuple):
    """A word with signs that a query asks for, such as `node.js`, the plain words in it, and whether it must stand as typed."""

    term: str
    parts: Words
    quoted: bool


class Query(NamedTuple):
    """A query, taken apart."""

    words: tuple[QueryWord, ...]
    neighbours: tuple[tuple[str, ...], ...]
    """Runs of words that stand side by side, as folded: what may also be written joined."""
    signs: tuple[SignWord, ...]
    phrases: tuple[Words, ...]
    excluded: tuple[Words, ...]
    """Words that a result must not have; several as they stand side by side. One with signs stands alone."""
    unfinished: str
    """The last word of a query that ends with it, in lower case, accents kept; '' where something follows the word."""

    @property
    def excluded_terms(self) -> list[str]:
        """The terms of excluded words that stand alone: their postings tell of videos to leave out. Of several as they stand, only rows do."""
        return [stem(words[0]) for words in self.excluded if len(words) == 1]


def parse(text: str) -> Query:
    """A query taken apart. What a minus excludes is asked for where there is nothing else."""
    rest = text
    phrases: list[str] = []
    excluded: list[str] = []
    for pattern in (_QUOTED, _EXCLUDED):
        for match in pattern.finditer(rest):
            part = match.groupdict().get("phrase") or match["word"]
            is_excluded = pattern is _EXCLUDED or match["minus"]
            (excluded if is_excluded else phrases).append(part)
        rest = pattern.sub(" ", rest)
    # An emoji is no word, so in quotes it is no phrase: it is asked for as without them.
    rest = " ".join([rest, *(phrase for phrase in phrases if not folded(phrase))])
    if not folded(rest) and not list(sign_words(rest)) and not any(map(folded, phrases)):
        rest, excluded = f"{rest} {' '.join(excluded)}", []
    quoted_signs = [sign for phrase in phrases if folded(phrase) for sign in _sign_words(phrase, quoted=True)]
    signs = tuple([*_sign_words(rest, quoted=False), *quoted_signs][:MAX_SIGN_WORDS])
    plain = _without(folded(rest), (part for sign in signs if not sign.quoted for part in sign.parts))
    typed = words(rest)
    ends_with_word = typed and text.rstrip().lower().endswith(typed[-1])
    kept_phrases = tuple(filter(None, (tuple(folded(phrase)) for phrase in phrases)))[:MAX_PHRASES]
    return Query(
        _query_words(plain, [word for phrase in kept_phrases for word in phrase], bool(signs)),
        tuple(filter(None, (tuple(plain), *kept_phrases))),
        signs,
        kept_phrases,
        tuple(_excluded_words(excluded))[:MAX_EXCLUDED],
        typed[-1] if ends_with_word else "",
    )


def _query_words(plain: list[str], quoted: list[str], has_signs: bool) -> tuple[QueryWord, ...]:
    """The words that a query asks for, in order, each once: without stop words, unless it has nothing else."""
    everything = [*((word, False) for word in plain), *((word, True) for word in quoted)]
    asked = [(word, is_quoted) for word, is_quoted in everything if word not in STOP_WORDS]
    if not asked and not has_signs:
        asked = everything
    found: dict[str, QueryWord] = {}
    for word, is_quoted in asked:
        for term in bigrams(word) if is_unspaced(word) else [stem(word)]:
            before = found.get(term, QueryWord(word, term, 0, False))
            found[term] = before._replace(times=before.times + 1, quoted=before.quoted or is_quoted)
    return tuple(found.values())[:MAX_WORDS]


def _sign_words(text: str, *, quoted: bool) -> list[SignWord]:
    short = (term for term in dict.fromkeys(sign_words(text)) if len(term) <= MAX_TERM)
    found = (SignWord(term, tuple(folded(term)), quoted) for term in short)
    return list(islice((sign for sign in found if len(sign.parts) <= MAX_PARTS), MAX_SIGN_WORDS))


def _excluded_words(excluded: Iterable[str]) -> Iterator[Words]:
    for part in excluded:
        signs = tuple(sign_words(part))
        yield from [(sign,) for sign in signs] or filter(None, [tuple(folded(part))])


def _without(plain: list[str], parts: Iterable[str]) -> list[str]:
    """The words without one occurrence of each of the parts."""
    left = list(plain)
    for part in parts:
        if part in left:
            left.remove(part)
    return left
