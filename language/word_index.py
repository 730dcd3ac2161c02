"""What of a video the word index holds: shared by its writer (video_catalog) and its readers.

A posting says in one row of `video_words` that a video holds a word, how often in which field, and how long its fields are. It is
a hint: the row of `videos` tells whether it still does. language/scoring.py says how well it then matches.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from hashlib import blake2b
from itertools import chain, islice
from typing import NamedTuple
from uuid import UUID

from common.caches import CacheSize, watch
from common.time_slices import Pausing, at_once
from language.compounds import joined
from language.scoring import packed_lengths, packed_occurrences
from language.signs import sign_words
from language.spelling import has_spelling
from language.text import STOP_WORDS, bigrams, folded, is_unspaced, iter_folded, stem, words

MAX_DESCRIPTION_TERMS = 2_000
"""The first terms of a description that are indexed, each as often as it occurs, stop words apart: some 11,000 characters of English."""

MAX_TAG_WORDS = 400
"""The first different words of all tags together, in the order of their code points, that are indexed and suggested. Each tag as a whole is
listed and suggested besides, whatever this leaves out. Of scripts without spaces, pairs and single characters are what is counted."""

MAX_JOINED_NEIGHBOURS = 100
"""The first different neighbours of a name that are also indexed joined (language/compounds.py), and of all tags together."""

_WORDS_AT_ONCE = 256


class Analysis(NamedTuple):
    """A video's text taken apart."""

    counts: Mapping[str, int]
    """By term of the index: its counts, packed."""
    shown_spellings: frozenset[str]
    """The words of name and tags as they are written (without case and accents), that typing mistakes may be corrected to."""
    other_spellings: frozenset[str]
    """Those of the description alone."""


class _Field(NamedTuple):
    occurrences: dict[str, int]
    length: int
    spellings: set[str]


def analyse(name: str, tags: Iterable[str], description: str) -> Analysis:
    """The words of a video with their counts, within the two limits above.

    Stop words count in names and tags only: no description is looked for by them.
    """
    return at_once(analyse_pausing(name, tags, description))


def analyse_pausing(name: str, tags: Iterable[str], description: str) -> Pausing[Analysis]:
    """The same with pauses, for where other calls wait."""
    tags = sorted(tags)
    in_name = yield from _field([iter_folded(name)], True)
    _add(in_name, chain(_joined([name]), sign_words(name)))
    in_tags = yield from _field(map(iter_folded, tags), True, MAX_TAG_WORDS)
    _add(in_tags, chain(_joined(tags), sign_words(" ".join(tags))))
    yield
    in_description = yield from _field([_first_terms(iter_folded(description))], False)
    _add(in_description, sign_words(description))
    terms = in_name.occurrences.keys() | in_tags.occurrences.keys() | in_description.occurrences.keys()
    lengths = packed_lengths(in_name.length, in_tags.length, in_description.length)
    counts = {
        term: lengths
        | packed_occurrences(
            in_name.occurrences.get(term, 0), in_tags.occurrences.get(term, 0), in_description.occurrences.get(term, 0)
        )
        for term in terms
    }
    yield
    shown = frozenset(in_name.spellings | in_tags.spellings)
    return Analysis(counts, shown, frozenset(in_description.spellings - shown))


def suggested_terms(name: str, tags: Iterable[str]) -> set[str]:
    """What may be suggested because of a video: each word of its name and tags, and each tag as a whole, lower-cased, no stop words."""
    tags = sorted(tags)
    of_tags = dict.fromkeys(word for tag in tags for word in words(tag) if word not in STOP_WORDS)
    found = {*words(name), *islice(of_tags, MAX_TAG_WORDS), *(tag.strip().lower() for tag in tags)}
    return found - STOP_WORDS - {""}


def _field(texts: Iterable[Iterable[str]], with_stop_words: bool, max_distinct: int | None = None) -> Pausing[_Field]:
    """The folded words of the texts of a field, up to the one with which it has `max_distinct` different terms."""
    times_of: Counter[str] = Counter()
    for text in texts:
        times_of.update(text)
        yield
    occurrences: dict[str, int] = {}
    length = 0
    spellings: set[str] = set()
    for number, (word, times) in enumerate(times_of.items()):
        if number % _WORDS_AT_ONCE == 0:
            yield
        analysed = _analysed_word(word)
        length += analysed.length * times
        if analysed.is_spelling:
            spellings.add(word)
        if analysed.length or with_stop_words:
            for term in analysed.terms:
                occurrences[term] = occurrences.get(term, 0) + times
        if max_distinct and len(occurrences) >= max_distinct:
            occurrences = dict(islice(occurrences.items(), max_distinct))
            break
    return _Field(occurrences, length, spellings)


def _joined(texts: Iterable[str]) -> Iterator[str]:
    """The joined neighbours of texts until there were MAX_JOINED_NEIGHBOURS different ones."""
    seen: set[str] = set()
    for text in texts:
        for term in joined(iter_folded(text)):
            if len(seen) == MAX_JOINED_NEIGHBOURS and term not in seen:
                return
            seen.add(term)
            yield term


def _add(field: _Field, more_terms: Iterable[str]) -> None:
    """Add what stands beside the words of a field. It does not make the field longer."""
    for term in more_terms:
        field.occurrences[term] = field.occurrences.get(term, 0) + 1


def _first_terms(folded_words: Iterable[str]) -> Iterator[str]:
    """The words of a description until they have given all terms that count; a run without spaces is cut where it gives the last one."""
    left = MAX_DESCRIPTION_TERMS
    for word in folded_words:
        if word in STOP_WORDS:
            continue
        counted = word[: (left + 1) // 2] if is_unspaced(word) else word
        left -= 2 * len(counted) - 1 if is_unspaced(word) else 1  # a run's characters and pairs
        yield counted
        if left <= 0:
            return


class _Word(NamedTuple):
    terms: tuple[str, ...]
    length: int
    is_spelling: bool


def _analysed_word(word: str) -> _Word:
    """The terms of one folded word. Most words of a text have occurred before, so those of usual length are remembered."""
    if len(word) <= _MAX_CACHED_RUN or (len(word) <= _MAX_CACHED_CHARACTERS and not is_unspaced(word)):
        return _take_apart_once(word)
    return _take_apart(word)


def _take_apart(word: str) -> _Word:
    if word in STOP_WORDS:
        return _Word((stem(word),), 0, False)
    if is_unspaced(word):
        return _Word((*bigrams(word), *(word if len(word) > 1 else "")), max(1, len(word) - 1), False)
    return _Word((stem(word),), 1, has_spelling(word))


_MAX_CACHED_CHARACTERS, _MAX_CACHED_RUN = 40, 4
_MAX_WORD_BYTES = 1_000  # whatever the word
_take_apart_once = lru_cache(maxsize=20_000)(_take_apart)
watch("terms", _take_apart_once, lambda once: CacheSize.estimated(once.cache_info().currsize, _MAX_WORD_BYTES))


@lru_cache(maxsize=64)
def title_hash(author: UUID, name: str) -> int | None:
    """A number of 32 bits with a sign, the same for the same author and the same words of a name; None for a name without words."""
    title = " ".join(folded(name))
    digest = blake2b(author.bytes + title.encode(errors="replace"), digest_size=4).digest()
    return int.from_bytes(digest, "big", signed=True) if title else None
