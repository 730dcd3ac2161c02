"""Reading a folder of CSV files in one of three forms, distinguished by the header of videos.csv.

    videoid,…     KillrVideo's own: the tables users, videos, video_ratings_by_user, comments and video_playback_stats, one file each
    youtube_id,…  trending videos with channel, tags (a|b|c) and views
    movie_id,…    film trailers with title and genres (a|b|c), and the ratings of numbered people in half stars

A row that cannot be read is noted with its file and line, and the next one is read. Columns are found by name; others are ignored.
"""

import csv
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from uuid import NAMESPACE_URL, UUID, uuid5

from sampledata.items import BadRow, Comment, DataSet, Person, Plays, Rating, SourceLine, VideoItem

VIEWS_PER_PLAY = 100_000
"""Trending videos have millions of views, and a play is a call: one play stands for so many views."""

_MAX_CELL_CHARACTERS = 10_000_000
_YOUTUBE_ID = re.compile(r"[\w-]{11}", re.ASCII)
_YOUTUBE_ADDRESS = re.compile(
    r"(?:https?:)?//(?:www\.|m\.)?(?:youtube(?:-nocookie)?\.com/(?:embed/|v/|shorts/|watch\?(?:.*&)?v=)|youtu\.be/)(?P<id>[\w-]{11}).*",
    re.ASCII,
)
_TAG = re.compile(r"""\s*(?:"(?P<double>(?:[^"]|"")*)"|'(?P<single>(?:[^']|'')*)'|(?P<bare>[^,]*))\s*(?:,|$)""")

Row = dict[str, str]
Item = TypeVar("Item")


class UnknownForm(Exception):
    """The folder holds no data set of a known form."""


def read_folder(folder: Path) -> DataSet:
    """All rows of a folder. Raises UnknownForm when it holds none of the three forms, OSError when a file cannot be read."""
    videos = folder / "videos.csv"
    if not videos.is_file():
        raise UnknownForm(f"there is no videos.csv in {folder}")
    with videos.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        first = next(csv.reader(file), [""])[0]
    forms: dict[str, Callable[[Path], DataSet]] = {
        "videoid": _read_killrvideo,
        "youtube_id": _read_trending,
        "movie_id": _read_movies,
    }
    if first not in forms:
        raise UnknownForm(f"{videos} begins with the column {first!r}, and should begin with one of {', '.join(forms)}")
    return forms[first](folder)


def _read_killrvideo(folder: Path) -> DataSet:
    bad: list[BadRow] = []
    return DataSet(
        people=list(_items(folder / "users.csv", _killrvideo_person, bad)),
        videos=list(_items(folder / "videos.csv", _killrvideo_video, bad)),
        ratings=list(_items(folder / "video_ratings_by_user.csv", _killrvideo_rating, bad)),
        comments=list(_items(folder / "comments.csv", _killrvideo_comment, bad)),
        plays=list(_items(folder / "video_playback_stats.csv", _killrvideo_plays, bad)),
        bad_rows=bad,
    )


def _killrvideo_person(row: Row, source: SourceLine) -> Person:
    return Person(source, _uuid(row, "userid"), row["firstname"], row["lastname"], row["email"])


def _killrvideo_video(row: Row, source: SourceLine) -> VideoItem:
    location, uploaded = _location(row["location"], row.get("location_type", "0"))
    return VideoItem(
        source,
        _uuid(row, "videoid"),
        _uuid(row, "userid"),
        row["name"],
        row["description"],
        parse_tags(row["tags"]),
        location,
        uploaded,
        _timestamp(row.get("added_date", "")),
    )


def _killrvideo_rating(row: Row, source: SourceLine) -> Rating:
    return Rating(source, _uuid(row, "videoid"), _uuid(row, "userid"), _whole(row, "rating"))


def _killrvideo_comment(row: Row, source: SourceLine) -> Comment:
    return Comment(source, _uuid(row, "videoid"), _uuid(row, "userid"), _uuid(row, "commentid"), row["comment"])


def _killrvideo_plays(row: Row, source: SourceLine) -> Plays:
    return Plays(source, _uuid(row, "videoid"), _whole(row, "views"))


def _read_trending(folder: Path) -> DataSet:
    bad: list[BadRow] = []
    rows = list(_items(folder / "videos.csv", _trending_video, bad))
    people = {person.user_id: person for person, _, _ in reversed(rows)}  # each channel once, from its first row
    return DataSet(
        people=list(reversed(people.values())),
        videos=[video for _, video, _ in rows],
        ratings=[],
        comments=[],
        plays=[plays for _, _, plays in rows],
        bad_rows=bad,
    )


def _trending_video(row: Row, source: SourceLine) -> tuple[Person, VideoItem, Plays]:
    channel = row["channel"]
    if not channel.strip():
        raise ValueError("channel is blank")
    user_id, video_id = made_id("channel", channel), made_id("video", row["youtube_id"])
    return (
        Person(source, user_id, channel, "", f"channel-{user_id}@example.com"),
        VideoItem(
            source,
            video_id,
            user_id,
            row["title"],
            row["description"],
            tuple(filter(None, row["tags"].split("|"))),
            row["youtube_id"],
            False,
            _timestamp(row.get("published", "")),
        ),
        Plays(source, video_id, _whole(row, "views") // VIEWS_PER_PLAY),
    )


def _read_movies(folder: Path) -> DataSet:
    bad: list[BadRow] = []
    curator = Person(
        SourceLine(folder / "videos.csv", 1),
        made_id("person", "curator"),
        "Film",
        "Archive",
        "film.archive@example.com",
    )
    videos = list(_items(folder / "videos.csv", lambda row, source: _movie_video(row, source, curator.user_id), bad))
    numbered = list(_items(folder / "ratings.csv", _movie_rating, bad))
    people = {person.user_id: person for person, _ in numbered}
    return DataSet(
        people=[curator, *people.values()],
        videos=videos,
        ratings=[rating for _, rating in numbered],
        comments=[],
        plays=[],
        bad_rows=bad,
    )


def _movie_video(row: Row, source: SourceLine, curator_id: UUID) -> VideoItem:
    genres = tuple(genre for genre in row["genres"].split("|") if genre and not genre.startswith("("))
    return VideoItem(
        source,
        made_id("movie", str(_whole(row, "movie_id"))),
        curator_id,
        row["title"],
        "",
        genres,
        row["youtube_id"],
        False,
        None,
    )


def _movie_rating(row: Row, source: SourceLine) -> tuple[Person, Rating]:
    number = _whole(row, "user_id")
    user_id = made_id("person", str(number))
    person = Person(source, user_id, "Viewer", str(number), f"viewer-{number}@example.com")
    return person, Rating(source, made_id("movie", str(_whole(row, "movie_id"))), user_id, whole_stars(row["rating"]))


def made_id(kind: str, name: str) -> UUID:
    """The id of a thing that has only a name in its file: the same each time, so that a second run finds it."""
    return uuid5(NAMESPACE_URL, f"killrvideo:{kind}:{name}")


def whole_stars(text: str) -> int:
    """Stars in halves, `0.5` to `5`, rounded half up to 1 to 5."""
    halves = float(text) * 2
    if not (halves.is_integer() and 1 <= halves <= 10):
        raise ValueError(f"rating is not 0.5 to 5 in half steps: {text!r}")
    return int(halves + 1) // 2


def parse_tags(text: str) -> tuple[str, ...]:
    """The tags of a set as Cassandra writes one: `{"a","b c"}`, `{'a', 'b'}` or `{a, b}`; brackets and bare lists are accepted too."""
    inner = text.strip()
    if inner[:1] in "{[" and inner[-1:] in "}]":
        inner = inner[1:-1]
    tags = []
    begin = 0
    while begin < len(inner):
        match = _TAG.match(inner, begin)
        if not match or match.end() == begin:
            raise ValueError(f"tags are not a set: {text[:60]!r}")
        double, single, bare = match["double"], match["single"], match["bare"]
        tags.append(
            double.replace('""', '"')
            if double is not None
            else single.replace("''", "'")
            if single is not None
            else bare.strip()
        )
        begin = match.end()
    return tuple(filter(None, tags))


def _location(location: str, location_type: str) -> tuple[str, bool]:
    """The id at YouTube, also of an address there, and False; or the address of another file and True."""
    if address := _YOUTUBE_ADDRESS.fullmatch(location):
        return address["id"], False
    # Data sets differ in what the type's numbers mean, so an id is known by its looks first.
    uploaded = location_type == "1" and not _YOUTUBE_ID.fullmatch(location)
    return location, uploaded


def _items(file: Path, make: Callable[[Row, SourceLine], Item], bad: list[BadRow]) -> Iterator[Item]:
    """The rows of a file made into items; one that cannot be made goes to `bad`. A file that is not there has no rows."""
    if not file.is_file():
        return
    for source, row in _rows(file, bad):
        try:
            yield make(row, source)
        except KeyError as error:
            bad.append(BadRow(source, f"there is no column {error.args[0]}"))
        except ValueError as error:
            bad.append(BadRow(source, str(error)))


def _rows(file: Path, bad: list[BadRow]) -> Iterator[tuple[SourceLine, Row]]:
    csv.field_size_limit(_MAX_CELL_CHARACTERS)
    # Bytes that are not UTF-8 come through as surrogates: they spoil their own row, not the whole file.
    with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as opened:
        reader = csv.reader(opened, strict=True)
        header: list[str] = next(reader, [])
        while True:
            source = SourceLine(file, reader.line_num + 1)
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                bad.append(BadRow(source, f"is not CSV: {error}"))
                continue
            if not cells:
                continue  # an empty line
            if len(cells) != len(header):
                bad.append(BadRow(source, f"has {len(cells)} columns instead of {len(header)}"))
            elif any("\ud800" <= character <= "\udfff" for cell in cells for character in cell):
                bad.append(BadRow(source, "is not UTF-8"))
            else:
                yield source, dict(zip(header, cells, strict=True))


def _uuid(row: Row, column: str) -> UUID:
    try:
        return UUID(row[column])
    except ValueError:
        raise ValueError(f"{column} is not a UUID: {row[column][:60]!r}") from None


def _whole(row: Row, column: str) -> int:
    text = row[column].strip()
    if not re.fullmatch(r"-?\d{1,18}", text, re.ASCII):
        raise ValueError(f"{column} is not a whole number: {text[:60]!r}")
    return int(text)


def _timestamp(text: str) -> datetime | None:
    """A timestamp such as 2026-01-31T08:00:00.000Z, in UTC where it names no zone. It only orders videos, so one that cannot be read is None."""
    try:
        timestamp = datetime.fromisoformat(text)
    except ValueError:
        return None
    return timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=UTC)
