"""The plan of writing a video: the steps on all tables that show or find it, sorted by when they are written.

    before     hints, which no reader trusts until the video's row agrees: its words, the newest videos of its tags, and suggestions of words
    together   one logged batch: the row, the lists, the tags, and the removal of an older form's entries
    after      removals of the older form that do not fit into that batch; they only remove hints
    late       words beyond the beginning of a long description: after the submit is answered

A cluster refuses logged batches above 50 KiB by default, so what would make one too large is moved out of it.
"""

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from common.database import Values, Write
from common.time_slices import Pausing, at_once
from common.timestamps import to_ms
from language.beginnings import beginning_of
from language.scoring import in_name_or_tags, weight
from language.spelling import spelling_keys
from language.word_index import Analysis, analyse_pausing, suggested_terms, title_hash
from services.video_catalog.video import Submission, Video

Step = tuple[Write, Values]

MAX_BATCH_BYTES = 36_000

CHARACTERS_AT_ONCE = 2_000
"""The beginning of a description, whose words are findable as soon as the submit is answered (contract, section 3)."""


class Steps(NamedTuple):
    """What to write before, together in one batch, after it, and after the submit is answered."""

    before: list[Step]
    together: list[Step]
    after: list[Step]
    late: list[Step]

    def all(self) -> list[Step]:
        """All of them in this order."""
        return [*self.before, *self.together, *self.after, *self.late]


class Text(NamedTuple):
    """The text of a submission taken apart, and which of its words are to be findable when the submit is answered."""

    found: Analysis
    at_once: Collection[str]


INSERT_VIDEO = Write(
    "INSERT INTO videos (videoid, userid, name, location, location_type, preview_image_location, added_date, description, tags)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    decisive=True,  # who owns a video
)
INSERT_VIDEO_WITHOUT_TEXT = Write(
    "INSERT INTO videos (videoid, userid, name, location, location_type, preview_image_location, added_date)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)",
    decisive=True,
)
INSERT_TEXT = Write("INSERT INTO videos (videoid, description, tags) VALUES (?, ?, ?)")
INSERT_USER_VIDEO = Write(
    "INSERT INTO user_videos (userid, added_date, videoid, name, preview_image_location) VALUES (?, ?, ?, ?, ?)"
)
INSERT_LATEST_VIDEO = Write(
    "INSERT INTO latest_videos (yyyymmdd, added_date, videoid, userid, name, preview_image_location) VALUES (?, ?, ?, ?, ?, ?)"
)
INSERT_VIDEO_BY_TAG = Write(
    "INSERT INTO videos_by_tag (tag, videoid, added_date, userid, name, preview_image_location, tagged_date)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
DELETE_VIDEO_BY_TAG = Write("DELETE FROM videos_by_tag WHERE tag = ? AND videoid = ?")
INSERT_NEWEST_BY_TAG = Write("INSERT INTO newest_videos_by_tag (tag, added_date, videoid, userid) VALUES (?, ?, ?, ?)")
DELETE_NEWEST_BY_TAG = Write("DELETE FROM newest_videos_by_tag WHERE tag = ? AND added_date = ? AND videoid = ?")
INSERT_TAG_BY_LETTER = Write("INSERT INTO tags_by_letter (first_letter, tag) VALUES (?, ?)")
INSERT_WORD = Write(
    "INSERT INTO video_words (word, weight, added_ms, videoid, counts, title_hash) VALUES (?, ?, ?, ?, ?, ?)"
)
DELETE_WORD = Write("DELETE FROM video_words WHERE word = ? AND weight = ? AND added_ms = ? AND videoid = ?")
INSERT_SPELLING = Write("INSERT INTO spellings_by_key (key, word) VALUES (?, ?)")
INSERT_SUGGESTED_TERM = Write("INSERT INTO suggested_terms (beginning, term, videoid) VALUES (?, ?, ?)")
INSERT_BEGINNING = Write("INSERT INTO suggested_beginnings (first_letter, beginning) VALUES (?, ?)")

WRITES = (
    INSERT_VIDEO,
    INSERT_VIDEO_WITHOUT_TEXT,
    INSERT_TEXT,
    INSERT_USER_VIDEO,
    INSERT_LATEST_VIDEO,
    INSERT_VIDEO_BY_TAG,
    DELETE_VIDEO_BY_TAG,
    INSERT_NEWEST_BY_TAG,
    DELETE_NEWEST_BY_TAG,
    INSERT_TAG_BY_LETTER,
    INSERT_WORD,
    DELETE_WORD,
    INSERT_SPELLING,
    INSERT_SUGGESTED_TERM,
    INSERT_BEGINNING,
)


def day_of(timestamp: datetime) -> str:
    """The partition of latest_videos that holds a timestamp (naive, UTC): 20260131."""
    return timestamp.strftime("%Y%m%d")


def text_of_pausing(submission: Submission) -> Pausing[Text]:
    """The words of a submission. Pauses for other calls."""
    found = yield from analyse_pausing(submission.name, submission.tags, submission.description)
    if len(submission.description) <= CHARACTERS_AT_ONCE:
        return Text(found, found.counts.keys())
    beginning = yield from analyse_pausing("", (), submission.description[:CHARACTERS_AT_ONCE])
    return Text(
        found, {word for word, counts in found.counts.items() if in_name_or_tags(counts) or word in beginning.counts}
    )


def steps_to_write(video: Video, older: Video | None) -> tuple[Steps, Analysis]:
    """All steps that write `video`, where `older` is what the database holds of it; and the words that were found in it."""
    text = at_once(text_of_pausing(video))
    return at_once(steps_to_write_pausing(video, text, older)), text.found


def steps_to_write_pausing(video: Video, text: Text, older: Video | None) -> Pausing[Steps]:
    """The steps that write `video`, which has the `text`. Pauses for other calls."""
    shown, columns = _shown(video)
    removals = (yield from _removals(video, text.found, older)) if older else []
    together, after = _split_by_size([*shown, *removals], MAX_BATCH_BYTES)
    yield
    tagged, early = _split_by_size(_tag_steps(video), MAX_BATCH_BYTES - sum(map(_size, together)))
    yield
    before = [*columns, *early, *_newest_steps(video), *_word_steps(video, text, late=False), *_suggestion_steps(video)]
    yield
    return Steps(before, [*together, *tagged], after, _word_steps(video, text, late=True))


def late_steps_pausing(video: Video) -> Pausing[tuple[list[Step], Analysis]]:
    """The steps that may be missing after a submit was answered, spellings apart; and the words that were found. Pauses for other calls."""
    text = yield from text_of_pausing(video)
    return _word_steps(video, text, late=True), text.found


def steps_to_list(video: Video) -> tuple[list[Step], Analysis]:
    """All steps that make `video` findable and listed, without its own row; they restore the other tables from `videos`."""
    steps, found = steps_to_write(video, None)
    own_row = (INSERT_VIDEO, INSERT_VIDEO_WITHOUT_TEXT, INSERT_TEXT)
    return [step for step in steps.all() if step[0] not in own_row], found


def spelling_steps(words: Iterable[str]) -> list[Step]:
    """The steps that let mistyped forms of the words be corrected to them."""
    return [(INSERT_SPELLING, (key, word)) for word in words for key in sorted(spelling_keys(word))]


def batches(steps: Iterable[Step], max_steps: int) -> Iterator[list[Step]]:
    """Steps in batches that are not too large for a cluster, of `max_steps` at most."""
    batch: list[Step] = []
    size = 0
    for step in steps:
        if batch and (size + _size(step) > MAX_BATCH_BYTES or len(batch) >= max_steps):
            yield batch
            batch, size = [], 0
        batch.append(step)
        size += _size(step)
    if batch:
        yield batch


def _shown(video: Video) -> tuple[list[Step], list[Step]]:
    """The row and the two lists; and, for a row that is too large for a batch, its long columns to be written before.

    A row without its other columns is no video to any reader, so of a new video nobody sees the half.
    """
    lists: list[Step] = [
        (
            INSERT_USER_VIDEO,
            (video.user_id, video.added_date, video.video_id, video.name, video.preview_image_location),
        ),
        (
            INSERT_LATEST_VIDEO,
            (
                day_of(video.added_date),
                video.added_date,
                video.video_id,
                video.user_id,
                video.name,
                video.preview_image_location,
            ),
        ),
    ]
    row = (
        video.video_id,
        video.user_id,
        video.name,
        video.location,
        video.location_type,
        video.preview_image_location,
        video.added_date,
    )
    long = (video.description, set(video.tags))
    whole = [(INSERT_VIDEO, (*row, *long)), *lists]
    if sum(map(_size, whole)) <= MAX_BATCH_BYTES:
        return whole, []
    return [(INSERT_VIDEO_WITHOUT_TEXT, row), *lists], [(INSERT_TEXT, (video.video_id, *long))]


def _tag_steps(video: Video) -> Iterator[Step]:
    for tag in sorted(video.tags):
        yield (
            INSERT_VIDEO_BY_TAG,
            (
                tag,
                video.video_id,
                video.added_date,
                video.user_id,
                video.name,
                video.preview_image_location,
                video.added_date,
            ),
        )
        yield INSERT_TAG_BY_LETTER, (tag[0], tag)


def _newest_steps(video: Video) -> Iterator[Step]:
    for tag in sorted(video.tags):
        yield INSERT_NEWEST_BY_TAG, (tag, video.added_date, video.video_id, video.user_id)


def _word_steps(video: Video, text: Text, *, late: bool) -> list[Step]:
    """The postings of a video: those that are written before its row, or those that come late."""
    return [
        _word_step(INSERT_WORD, video, word, counts)
        for word, counts in text.found.counts.items()
        if late != (word in text.at_once)
    ]


def _suggestion_steps(video: Video) -> Iterator[Step]:
    terms = sorted(suggested_terms(video.name, video.tags))
    for term in terms:
        yield INSERT_SUGGESTED_TERM, (beginning_of(term), term, video.video_id)
    for beginning in sorted(set(map(beginning_of, terms))):
        yield INSERT_BEGINNING, (beginning[0], beginning)


def _word_step(write: Write, video: Video, word: str, counts: int) -> Step:
    key = (word, weight(counts), to_ms(video.added_date), video.video_id)
    return write, ((*key, counts, title_hash(video.user_id, video.name)) if write is INSERT_WORD else key)


def _removals(video: Video, found: Analysis, older: Video) -> Pausing[list[Step]]:
    """The removal of what the older form of a video left and the new one does not overwrite."""
    former = yield from analyse_pausing(older.name, older.tags, older.description)
    gone: list[Step] = [(DELETE_VIDEO_BY_TAG, (tag, older.video_id)) for tag in sorted(older.tags - video.tags)]
    moved = older.tags if older.added_date != video.added_date else older.tags - video.tags
    gone += [(DELETE_NEWEST_BY_TAG, (tag, older.added_date, older.video_id)) for tag in sorted(moved)]
    for word, counts in former.counts.items():
        if (
            word not in found.counts
            or weight(found.counts[word]) != weight(counts)
            or older.added_date != video.added_date
        ):
            gone.append(_word_step(DELETE_WORD, older, word, counts))
    yield
    return gone


def _split_by_size(steps: Iterable[Step], room: int) -> tuple[list[Step], list[Step]]:
    """The first steps that fit into `room` bytes, and the others."""
    inside: list[Step] = []
    outside: list[Step] = []
    for step in steps:
        room -= _size(step)
        (inside if room >= 0 else outside).append(step)
    return inside, outside


def _size(step: Step) -> int:
    """About how many bytes a step adds to a batch, rather too many than too few."""
    size = 32
    # Thousands of values go through here, so no function is called for each.
    for value in step[1]:
        if isinstance(value, str):
            size += 16 + len(value.encode())
        elif isinstance(value, set):
            size += sum(24 + len(text.encode()) for text in value)
        else:
            size += 32
    return size
