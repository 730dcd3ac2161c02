"""What the index holds of a video, and how a match is weighed."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from language.scoring import TYPICAL, Counts, Lengths, Scorer, in_name_or_tags, lengths, weight
from language.text import terms
from language.word_index import (
    MAX_DESCRIPTION_TERMS,
    MAX_JOINED_NEIGHBOURS,
    MAX_TAG_WORDS,
    analyse,
    suggested_terms,
    title_hash,
)

WORD = "quixotry"
OTHER = st.lists(st.sampled_from(["alpha", "beta", "gamma"]), max_size=300).map(" ".join)
AVERAGES = st.builds(Lengths, st.floats(0, 30), st.floats(0, 60), st.floats(0, 500))


def counts_of(name: str = "", tags: tuple[str, ...] = (), description: str = "") -> int:
    return analyse(name, tags, description).counts[terms(WORD)[0]]


@given(OTHER, OTHER, OTHER, AVERAGES)
def test_a_match_in_the_name_beats_one_in_a_tag_and_that_one_in_the_description(
    one: str, two: str, three: str, average: Lengths
) -> None:
    score = Scorer(average).score
    named = counts_of(f"{one} {WORD}", (two,), three)
    tagged = counts_of(one, (two, WORD), three)
    described = counts_of(one, (two,), f"{three} {WORD}")
    assert 1 > score(named) > score(tagged) > score(described) > 0


def test_the_same_match_counts_less_in_a_long_description() -> None:
    assert weight(counts_of(description=f"{WORD} {'filler ' * 300}")) < weight(counts_of(description=WORD))


def test_matching_more_often_counts_more_but_less_and_less() -> None:
    one, two, three = (Scorer(TYPICAL).score(counts_of(name=f"{WORD} " * times)) for times in (1, 2, 3))
    assert one < two < three
    assert two - one > three - two


def test_stop_words_have_no_length_and_count_in_names_and_tags_only() -> None:
    found = analyse("The who", ["of it"], "what was there")
    assert {"the", "who"} <= set(found.counts)
    assert not {"what", "was", "there"} & set(found.counts)
    assert lengths(next(iter(found.counts.values()))) == (0, 0, 0)


@given(st.text(max_size=80), st.lists(st.text(max_size=20), max_size=5), st.text(max_size=200))
def test_any_text_can_be_analysed_and_weighed(name: str, tags: list[str], description: str) -> None:
    for counts in analyse(name, tags, description).counts.values():
        assert 0 <= weight(counts) <= 100
        assert 0 <= counts < 1 << 63
        assert in_name_or_tags(counts) in (True, False)


COUNTS = st.builds(Counts, *[st.integers(0, 255)] * 5, st.integers(0, 4095))


@given(COUNTS)
def test_counts_are_the_same_after_packing(counts: Counts) -> None:
    assert Counts.unpacked(counts.packed()) == counts
    assert in_name_or_tags(counts.packed()) == bool(counts.in_name or counts.in_tags)


@given(COUNTS, AVERAGES)
def test_a_score_is_the_saturated_sum_of_its_fields(counts: Counts, average: Lengths) -> None:
    """The score reads the packed number in place; here the formula stands as the docs have it."""
    name = 1 - 0.3 + 0.3 * counts.name_length / max(average.name, 1.0)
    tags = 1 - 0.4 + 0.4 * counts.tags_length / max(average.tags, 1.0)
    description = 1 - 0.75 + 0.75 * counts.description_length / max(average.description, 1.0)
    frequency = (
        4 * counts.in_name / min(max(name, 0.7), 1.35)
        + 2 * counts.in_tags / min(max(tags, 0.7), 1.05)
        + counts.in_description / max(description, 0.55)
    )
    assert Scorer(average).score(counts.packed()) == pytest.approx(frequency / (1.5 + frequency))


def test_counts_beyond_what_a_posting_can_hold_are_held_at_the_most() -> None:
    counts = counts_of(name=f"{WORD} " * 1000, description=f"{WORD} " * 9000)
    assert lengths(counts) == (255, 0, MAX_DESCRIPTION_TERMS)
    assert Counts.unpacked(Counts(300, 300, 300, 300, 300, 5000).packed()) == (255, 255, 255, 255, 255, 4095)
    assert counts < 1 << 63


def test_suggestions_are_words_and_whole_tags_without_stop_words() -> None:
    found = suggested_terms("The Pop Story", ["Police Station", " top ", "the"])
    assert found == {"pop", "story", "police station", "police", "station", "top"}


def test_of_a_description_the_first_terms_are_indexed_and_stop_words_are_not_counted() -> None:
    found = analyse("", (), " ".join(f"the word{number}" for number in range(2 * MAX_DESCRIPTION_TERMS))).counts
    assert found.keys() == {f"word{number}" for number in range(MAX_DESCRIPTION_TERMS)}


@pytest.mark.parametrize("before", ["", "one two "])
def test_of_a_long_run_without_spaces_the_beginning_is_found_by_characters_and_by_pairs(before: str) -> None:
    run = "".join(chr(0x4E00 + number) for number in range(MAX_DESCRIPTION_TERMS))
    found = analyse("", (), before + run).counts
    assert MAX_DESCRIPTION_TERMS - 1 <= len(found) <= MAX_DESCRIPTION_TERMS
    characters = run[: (MAX_DESCRIPTION_TERMS - len(before.split())) // 2]
    assert {*characters, *(characters[at : at + 2] for at in range(len(characters) - 1))} == found.keys() - {
        "one",
        "two",
    }


def test_of_all_tags_the_first_different_words_are_indexed_and_suggested_and_each_tag_whole() -> None:
    tags = [" ".join(f"w{tag:02}x{word:02}" for word in range(20)) for tag in range(100)]
    first = {f"w{tag:02}x{word:02}" for tag in range(MAX_TAG_WORDS // 20) for word in range(20)}
    found = analyse("", reversed(tags), "").counts.keys()
    neighbours = {f"w00x{word:02}w00x{word + 1:02}" for word in range(19)}
    assert first | neighbours <= found
    assert len(found) == len(first) + MAX_JOINED_NEIGHBOURS
    assert suggested_terms("", reversed(tags)) == first | set(tags)
    assert len(analyse("", ["".join(chr(0x4E00 + at) for at in range(10_000))], "").counts) == MAX_TAG_WORDS


def test_words_that_many_tags_have_leave_room_for_others() -> None:
    found = analyse("", [f"clip number {number}" for number in range(100)], "")
    words = {"clip", "number", *map(str, range(100))}
    assert words <= found.counts.keys()
    assert len(found.counts) == len(words) + MAX_JOINED_NEIGHBOURS
    assert Counts.unpacked(found.counts["clip"]).in_tags == 100


def test_neighbours_of_a_name_and_of_a_tag_are_indexed_joined_and_those_of_a_description_are_not() -> None:
    found = analyse("Micro-Services in Java", ["java script", "web"], "deep learning").counts
    assert {"microservic", "javascript"} <= found.keys()
    assert not {"servicesin", "deeplearn", "scriptweb", "javajava"} & found.keys()
    assert Counts.unpacked(found["microservic"])[:3] == (1, 0, 0)
    assert Counts.unpacked(found["javascript"])[:3] == (0, 1, 0)


def test_words_with_signs_stand_beside_the_plain_words() -> None:
    found = analyse("2017-police-station.mp4", ["C#", "node.js"], "in .NET 4.0 🔥").counts
    assert {"2017", "polic", "station", "mp4", "station.mp4", "c", "c#", "node", "js", "node.js"} <= found.keys()
    assert {"net", ".net", "4", "0", "4.0", "🔥"} <= found.keys()
    assert lengths(found["c#"]) == lengths(analyse("2017 police station mp4", ["c", "node js"], "net 4 0").counts["c"])


def test_titles_are_the_same_whatever_their_case_accents_and_signs_if_the_author_is() -> None:
    one, other = UUID(int=1), UUID(int=2)
    same = {title_hash(one, name) for name in ("Café, part 2", "cafe PART 2!", "Cafe Part-2")}
    assert len(same) == 1
    assert {title_hash(other, "Cafe part 2"), title_hash(one, "Cafe part 3")}.isdisjoint(same)
    assert title_hash(one, "🔥 !") is None
    assert all(-(1 << 31) <= (title_hash(one, str(number)) or 0) < 1 << 31 for number in range(100))
