"""Typing mistakes: which words are compared with each other, and which are one edit apart."""

from language.text import is_unspaced

# Of a long word the beginning is compared: what a word costs in the index stays bounded. It is long enough that few words share a key, even
# among a million: those that have all of these letters, or have them with one letter more.
SPELLING_PREFIX = 12
MIN_SPELLING = 3
MAX_SPELLING = 40


def spelling_keys(word: str) -> set[str]:
    """Keys under which a folded word is found by another that is one edit away: its beginning, and that with one letter left out.

    Two words that are one edit or a swap of neighbours apart share a key (the deletion neighbourhood of W. Garbe's SymSpell, for
    one edit and cut to a prefix); `one_edit_apart` then tells which of those that share one really are.
    """
    beginning = word[:SPELLING_PREFIX]
    return {beginning, *(beginning[:at] + beginning[at + 1 :] for at in range(len(beginning)))}


def has_spelling(word: str) -> bool:
    """Whether a folded word takes part in the correction of typing mistakes: letters only, not too short, not endless, with spaces around.

    A word with a digit in it names something: next to `mp3`, `mp4` is no typing mistake.
    """
    return MIN_SPELLING <= len(word) <= MAX_SPELLING and not is_unspaced(word) and not any(map(str.isdigit, word))


def one_edit_apart(one: str, other: str) -> bool:
    """Whether a letter added, left out or replaced, or two neighbours swapped, makes one word the other. Equal words are not apart."""
    if one == other:
        return False
    if len(one) > len(other):
        one, other = other, one
    if len(other) - len(one) > 1:
        return False
    at = 0
    while at < len(one) and one[at] == other[at]:
        at += 1
    if len(one) < len(other):
        return one[at:] == other[at + 1 :]
    if one[at + 1 :] == other[at + 1 :]:
        return True
    return one[at : at + 2] == other[at : at + 2][::-1] and one[at + 2 :] == other[at + 2 :]
