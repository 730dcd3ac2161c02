"""Which words are taken for typing mistakes of each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from language.spelling import has_spelling, one_edit_apart, spelling_keys

LETTERS = "abcdeé"


@given(st.text(alphabet=LETTERS, max_size=18), st.data())
def test_one_edit_is_seen_and_found_by_a_common_key(word: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(word)))
    letter = data.draw(st.sampled_from(LETTERS))
    kind = data.draw(st.sampled_from(("add", "drop", "change", "swap")))
    other = {
        "add": word[:at] + letter + word[at:],
        "drop": word[:at] + word[at + 1 :],
        "change": word[:at] + letter + word[at + 1 :] if at < len(word) else word,
        "swap": word[:at] + word[at + 1 : at + 2] + word[at : at + 1] + word[at + 2 :],
    }[kind]
    if other != word:
        assert one_edit_apart(word, other)
        assert one_edit_apart(other, word)
        assert spelling_keys(word) & spelling_keys(other)
    assert not one_edit_apart(word, word)


@given(st.text(alphabet="ab", max_size=6), st.text(alphabet="ab", max_size=6))
def test_one_edit_apart_agrees_with_trying_all_edits(one: str, other: str) -> None:
    edits = {
        one[:at] + letter + one[at + drop :]
        for at in range(len(one) + 1)
        for letter in ("", "a", "b")
        for drop in (0, 1)
    }
    edits |= {one[:at] + one[at + 1] + one[at] + one[at + 2 :] for at in range(len(one) - 1)}
    assert one_edit_apart(one, other) == (other in edits and other != one)


@pytest.mark.parametrize("word", ["ab", "mp4", "東京", "x" * 41])
def test_short_endless_numbered_and_unspaced_words_are_not_corrected(word: str) -> None:
    assert not has_spelling(word)
