"""Words: split, folded, stemmed and compared as the contract says, for any text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from language.text import (
    MAX_TERM,
    STOP_WORDS,
    folded,
    holds_any,
    stem,
    terms,
    words,
)


def test_words_are_split_by_all_that_is_no_letter_mark_or_digit() -> None:
    assert words("2017-police-station.mp4") == ["2017", "police", "station", "mp4"]
    assert words("a_b\x00c🎬d½e") == ["a", "b", "c", "d", "e"]
    assert words("हिन्दी में") == ["हिन्दी", "में"]


def test_case_and_accents_are_folded_in_any_script() -> None:
    assert folded("CAFÉ Straße Łódź ÆØ ﬁne ＷＩＤＥ 𝗕𝗼𝗹𝗱") == ["cafe", "strasse", "lodz", "aeo", "fine", "wide", "bold"]
    assert folded("ΟΔΟΣ") == folded("οδός")
    assert folded("ЁЛКА") == folded("елка")


def test_the_marks_of_scripts_that_need_them_stay() -> None:
    assert folded("हिन्दी") == ["हिन्दी"]
    assert folded("한국어") == ["한국어"]


def test_english_endings_are_taken_off() -> None:
    assert terms("Running stories, cars") == terms("run story car")


def test_scripts_without_spaces_give_overlapping_pairs_and_single_characters() -> None:
    assert set(terms("東京都")) == {"東京", "京都", "東", "京", "都"}
    assert folded("tokyo東京2020") == ["tokyo", "東京", "2020"]
    assert folded("10ｦ") == ["10", "ヲ"]  # half-width katakana


@given(st.text(max_size=60))
def test_folding_what_is_folded_changes_nothing(text: str) -> None:
    once = folded(text)
    assert [part for word in once for part in folded(word)] == once


@given(st.text(max_size=60))
def test_a_text_in_other_case_has_the_same_terms(text: str) -> None:
    # Some letters have no one partner in the other case (dotless i, the final sigma of old Greek signs): those that do must not matter.
    if text.upper().casefold() == text.casefold() and text.lower().casefold() == text.casefold():
        assert terms(text.upper()) == terms(text.lower())


@given(st.text(max_size=60))
def test_words_and_terms_are_never_empty_and_hold_no_space(text: str) -> None:
    for word in (*words(text), *folded(text), *terms(text)):
        assert word
        assert not any(character.isspace() for character in word)


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=12))
def test_a_word_and_its_query_get_the_same_stem(word: str) -> None:
    assert terms(word) == [stem(folded(word)[0])]


def test_stop_words_are_words_as_texts_are_split() -> None:
    assert all(words(word) == [word] == folded(word) for word in STOP_WORDS)


@pytest.mark.parametrize(
    "letter", ["x", "\N{DESERET CAPITAL LETTER LONG I}", "\N{ARABIC LIGATURE ALLAH ISOLATED FORM}"]
)
def test_a_word_as_long_as_a_description_still_fits_into_a_key(letter: str) -> None:
    [term] = terms(letter * 20_000)
    assert len(term) == MAX_TERM
    assert len(term.encode()) < 2**16


@given(st.text(max_size=60), st.sampled_from(["", "running", "東京の警察", "Łódź y'all Yes"]))
def test_a_text_holds_each_of_its_words_and_no_other(text: str, more: str) -> None:
    found = terms(f"{text} {more}")
    assert all(holds_any(f"{text} {more}", {term}) for term in found)
    assert not holds_any(f"{text} {more}", {"quixotri"} - {*found})


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=12))
def test_an_ending_that_is_taken_off_is_no_beginning(word: str) -> None:
    assert stem(word)[0] == word[0]
