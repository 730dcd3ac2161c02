"""In which order the steps of a submit are written: what must be findable at once, and what may come late."""

from dataclasses import replace

import pytest

from common.database import Write
from language.word_index import MAX_DESCRIPTION_TERMS
from services.video_catalog.index_plan import (
    CHARACTERS_AT_ONCE,
    DELETE_WORD,
    INSERT_LATEST_VIDEO,
    INSERT_NEWEST_BY_TAG,
    INSERT_SUGGESTED_TERM,
    INSERT_TAG_BY_LETTER,
    INSERT_USER_VIDEO,
    INSERT_VIDEO,
    INSERT_VIDEO_BY_TAG,
    INSERT_WORD,
    Step,
    steps_to_write,
)
from services.video_catalog.video import Video
from tests.services.word_tables import a_video

FILLER = "of the " * (CHARACTERS_AT_ONCE // 7 - 2)  # stop words, and room for a word behind them


def values(steps: list[Step], statement: Write, position: int = 0) -> set[object]:
    return {step[1][position] for step in steps if step[0] is statement}


def test_the_batch_has_what_readers_see_and_hints_come_before_it() -> None:
    steps, _ = steps_to_write(a_video("Blue moon", ["sky", "night sky"], "rising"), None)
    in_batch = {INSERT_VIDEO, INSERT_USER_VIDEO, INSERT_LATEST_VIDEO, INSERT_VIDEO_BY_TAG, INSERT_TAG_BY_LETTER}
    assert {statement for statement, _ in steps.together} == in_batch
    assert values(steps.before, INSERT_WORD) == {"blue", "moon", "bluemoon", "sky", "night", "nightski", "rise"}
    assert values(steps.before, INSERT_NEWEST_BY_TAG) == {"sky", "night sky"}
    assert values(steps.before, INSERT_SUGGESTED_TERM, 1) == {"blue", "moon", "sky", "night", "night sky"}
    assert not steps.after
    assert not steps.late


def test_words_beyond_the_beginning_of_a_description_come_late_unless_name_or_tags_have_them() -> None:
    video = a_video("moon", ["night sky"], f"{FILLER} early moon and then some more, sky: late, and early")
    steps, found = steps_to_write(video, None)
    assert values(steps.before, INSERT_WORD) >= {"moon", "night", "sky", "earli"}
    assert values(steps.late, INSERT_WORD) >= {"late"}
    assert not values(steps.late, INSERT_WORD) & values(steps.before, INSERT_WORD)
    assert values(steps.late, INSERT_WORD) | values(steps.before, INSERT_WORD) == set(found.counts)


@pytest.mark.parametrize("end", ["", "x"])
def test_a_description_is_long_from_the_first_character_beyond_the_beginning(end: str) -> None:
    description = f"{FILLER}{'z' * (CHARACTERS_AT_ONCE - len(FILLER))}{end}"
    steps, _ = steps_to_write(a_video("moon", (), description), None)
    assert bool(steps.late) == bool(end)


def test_a_long_run_without_spaces_is_found_at_once_as_far_as_it_is_indexed() -> None:
    steps, found = steps_to_write(a_video("moon", (), "".join(chr(0x4E00 + number) for number in range(20_000))), None)
    assert len(found.counts) >= MAX_DESCRIPTION_TERMS
    assert not steps.late


def test_removals_of_an_older_form_are_in_the_batch_also_those_of_its_late_words() -> None:
    older = a_video("moon", (), f"{FILLER} some more words that are beyond the beginning, such as late")
    newer: Video = replace(older, name="sun", description="")
    steps, _ = steps_to_write(newer, older)
    assert values(steps.together, DELETE_WORD) >= {"moon", "late"}
    assert not values([*steps.before, *steps.late], DELETE_WORD)
    assert values(steps.before, INSERT_WORD) == {"sun"}
