"""Words: how text is parted, folded, stemmed and compared, for the index that finds videos and for the queries that ask it.

Both sides use the same functions, so that whatever is done to a word of a video is also done to the word that looks for it:

    words("Café-Racers, 2017!")   -> ["café", "racers", "2017"]       what people read, for suggestions
    folded("Café-Racers, 2017!")  -> ["cafe", "racers", "2017"]       case and accents gone
    terms("Café-Racers, 2017!")   -> ["cafe", "racer", "2017"]        English endings gone too: what the index holds

Everything here is pure and knows nothing of Cassandra.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

# PyStemmer ships no type information.
import Stemmer  # type: ignore[import-untyped,unused-ignore]

from common.caches import CacheSize, watch

# Snowball's second English stemmer ("Porter 2", snowballstem.org/algorithms/english). Without its cache of 10,000 words, which counts words and
# not bytes (a word may have 20,000 letters): a stem costs half a microsecond more, and language/word_index.py remembers the usual ones.
_stemmer = Stemmer.Stemmer("english", 0)

# Words too common in English to tell one video from another. Apostrophes part words, so what they leave behind ("don", "t", "ll") is here too.
STOP_WORDS = frozenset(
    """
    a about after again all also am an and any are aren as at be because been before being both but by can cannot could couldn
    d did didn do does doesn doing don each for from further had hadn has hasn have haven having he her here hers herself
    him himself his how i if in into is isn it its itself ll m me more most my myself no nor not of on only or other our ours
    ourselves re s same she should shouldn so some such t than that the their theirs them themselves then there these they this those
    through till to too until ve very was wasn we were weren what when where which while who whom why will with won would
    wouldn yet you your yours yourself yourselves
    """.split()
)

# Spellings that Unicode does not take apart by itself, though people type them without.
_PLAIN_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ħ": "h", "ı": "i", "ŧ": "t", "æ": "ae", "œ": "oe", "ð": "d", "þ": "th", "ß": "ss"}
)

# Accents of Latin, Greek and Cyrillic, and the optional vowel points of Hebrew and Arabic. The marks of other scripts are letters
# in all but name (a Hindi word without its vowel signs is another word), and stay.
_ACCENTS = re.compile(
    "[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c7\u064b-\u065f\u0670]+"
)

# Scripts that are written without spaces: Thai, Lao, Myanmar, Khmer, kana, Han (with its extensions) and what belongs to them.
_UNSPACED = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3031-\u3035\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff]+)"
)

_UNSTEMMED = 3

MAX_TERM = 500
"""Of a longer word its beginning stands for all of it: a query has at most 500 characters, so no query holds a longer word."""

MAX_KNOWN_CHARACTERS = 20_000
"""Characters that are remembered: some 2 MB."""


_FOLDED_AT_ONCE = 64


class _Separators(dict[int, int]):
    """A table for str.translate that turns whatever is no letter, mark or digit into a space.

    It remembers the first characters that it meets, which are those of most texts, and works out the others each time: there are a million.
    """

    def __missing__(self, code: int) -> int:
        category = unicodedata.category(chr(code))
        result = code if category[0] in "LM" or category == "Nd" else 32
        if len(self) < MAX_KNOWN_CHARACTERS:
            self[code] = result
        return result


_separators = _Separators()
watch("characters", _separators, lambda known: CacheSize.estimated(len(known), 100))


def words(text: str) -> list[str]:
    """The words of a text in their order, lower-cased, accents kept: split at all that is no letter, mark or digit."""
    return text.lower().translate(_separators).split()


def folded(text: str) -> list[str]:
    """The words of a text without case and accents; a run of a script without spaces stands apart from what it touches."""
    return words(text) if text.isascii() else list(iter_folded(text))


def iter_folded(text: str) -> Iterator[str]:
    """The same words one after the other: whoever needs the first few of a long text does not fold the others."""
    plain = text.translate(_separators).split()
    # Many words at once, because each call costs more than a word.
    for start in range(0, len(plain), _FOLDED_AT_ONCE):
        piece = " ".join(plain[start : start + _FOLDED_AT_ONCE])
        if piece.isascii():
            yield from piece.lower().split()
        else:
            for part in fold(piece).translate(_separators).split():
                yield from (part,) if part.isascii() else _split_scripts(part)


def fold(text: str) -> str:
    """Casefolded, compatibility forms made plain (full width, ligatures, mathematical letters), accents taken off."""
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    return unicodedata.normalize("NFC", _ACCENTS.sub("", decomposed).translate(_PLAIN_LETTERS))


def _split_scripts(word: str) -> list[str]:
    """`tokyo東京2020` as `tokyo`, `東京`, `2020`."""
    return [part for part in _UNSPACED.split(word) if part]


def is_unspaced(word: str) -> bool:
    """Whether a folded word is a run of a script without spaces."""
    return not word.isascii() and _UNSPACED.match(word) is not None


def stems(folded_words: Iterable[str]) -> list[str]:
    """The index terms of folded words that are no unspaced runs: English endings taken off those that can be English.

    A word of three letters stays as it is: without its last, `ios` would be the end of many an address, and `aws` nothing.
    """
    return [
        (str(_stemmer.stemWord(word)) if len(word) > _UNSTEMMED and word.isascii() else word)[:MAX_TERM]
        for word in folded_words
    ]


def stem(folded_word: str) -> str:
    """The index term of one folded word."""
    return stems((folded_word,))[0]


def bigrams(run: str) -> list[str]:
    """Overlapping pairs of characters of an unspaced run, or the run itself where it is one character."""
    return [run] if len(run) == 1 else [run[at : at + 2] for at in range(len(run) - 1)]


def terms(text: str) -> list[str]:
    """What the index holds of a text, in order, each as often as it occurs; stop words are among them."""
    return list(iter_terms(text))


def iter_terms(text: str) -> Iterator[str]:
    """The same one after the other: whoever needs the first few of a long text does not look at the others.

    An unspaced run gives its pairs and its single characters, so that one character finds it too.
    """
    for word in iter_folded(text):
        if not is_unspaced(word):
            yield stem(word)
        else:
            yield from bigrams(word)
            yield from word if len(word) > 1 else ()


def holds_any(text: str, wanted: set[str]) -> bool:
    """Whether a text has one of some terms. Of a long text few words are looked at closely: no ending that is taken off is a beginning."""
    beginnings = {term[0] for term in wanted}
    parts = [term for term in wanted if len(term) <= 2]
    return any(
        any(part in word for part in parts) if is_unspaced(word) else word[0] in beginnings and stem(word) in wanted
        for word in dict.fromkeys(iter_folded(text))
    )


def contains_run(folded_words: Sequence[str], run: Sequence[str]) -> bool:
    """Whether some words stand side by side in a text. In a script without spaces they may begin and end within a longer run of it."""
    if not run:
        return False
    text, wanted = f" {' '.join(folded_words)} ", " ".join(run)
    before = "" if is_unspaced(run[0]) else " "
    after = "" if is_unspaced(run[-1]) else " "
    return f"{before}{wanted}{after}" in text
