"""What the index holds of a video, and how a match is weighed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from language.text import terms
from language.word_index import TYPICAL, Counts, Lengths, Scorer, analyse, in_name_or_tags, lengths, weight

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
    assert lengths(counts) == (255, 0, 4095)
    assert counts < 1 << 63
