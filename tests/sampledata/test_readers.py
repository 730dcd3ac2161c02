"""Reading data sets: the three forms, our own set, and rows that cannot be read."""

from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampledata.__main__ import OWN_FOLDER
from sampledata.readers import UnknownForm, made_id, parse_tags, read_folder, whole_stars

VIDEO = "11111111-1111-4111-8111-111111111111"
USER = "22222222-2222-4222-8222-222222222222"
VIDEOS_HEADER = "videoid,added_date,description,location,location_type,name,tags,userid\n"


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8", newline="")
    return folder


def test_our_own_set_is_whole() -> None:
    data = read_folder(OWN_FOLDER)
    assert not data.bad_rows
    assert (len(data.people), len(data.videos)) == (12, 60)
    people, videos = {person.user_id for person in data.people}, {video.video_id for video in data.videos}
    assert len(people) == 12
    assert len(videos) == 60
    assert {video.user_id for video in data.videos} <= people
    assert all(len(video.location) == 11 and video.tags and video.description for video in data.videos)
    for rating in data.ratings:
        assert rating.user_id in people
        assert rating.video_id in videos
        assert 1 <= rating.rating <= 5
    for comment in data.comments:
        assert comment.user_id in people
        assert comment.video_id in videos
        assert comment.comment_id.version == 1
    assert {plays.video_id for plays in data.plays} == videos
    assert len(data.ratings) > 100
    assert len(data.comments) > 80


def test_a_description_of_several_lines_and_unusual_characters_arrive_intact(tmp_path: Path) -> None:
    text = 'First “line”\n\nSecond, with a comma and ""quotes""\r\n\tthird 🥧 漢字 \u200d'
    write(
        tmp_path,
        videos=f'{VIDEOS_HEADER}{VIDEO},2026-01-01T00:00:00.000Z,"{text}",L7V_woT8mbQ,0,Name,"{{""a b"",""c""}}",{USER}\n',
    )
    data = read_folder(tmp_path)
    assert not data.bad_rows
    [video] = data.videos
    assert video.description == text.replace('""', '"')
    assert video.tags == ("a b", "c")
    assert (video.video_id, video.user_id) == (UUID(VIDEO), UUID(USER))


@pytest.mark.parametrize(
    ("location", "kind", "expected"),
    [
        ("L7V_woT8mbQ", "0", ("L7V_woT8mbQ", False)),
        ("L7V_woT8mbQ", "1", ("L7V_woT8mbQ", False)),
        ("https://www.youtube.com/embed/L7V_woT8mbQ", "1", ("L7V_woT8mbQ", False)),
        ("https://www.youtube.com/watch?t=3&v=L7V_woT8mbQ&list=x", "1", ("L7V_woT8mbQ", False)),
        ("http://youtu.be/L7V_woT8mbQ", "0", ("L7V_woT8mbQ", False)),
        ("https://files.example.com/a.mp4", "1", ("https://files.example.com/a.mp4", True)),
        ("some words", "0", ("some words", False)),
    ],
)
def test_a_location_is_an_id_at_youtube_or_the_address_of_a_file(
    tmp_path: Path, location: str, kind: str, expected: tuple[str, bool]
) -> None:
    write(tmp_path, videos=f"{VIDEOS_HEADER}{VIDEO},,,{location},{kind},Name,{{}},{USER}\n")
    [video] = read_folder(tmp_path).videos
    assert (video.location, video.uploaded) == expected


def test_a_bad_row_is_reported_with_file_and_line_and_the_next_is_read(tmp_path: Path) -> None:
    good = f"{VIDEO},,,L7V_woT8mbQ,0,Name,{{}},{USER}\n"
    write(
        tmp_path,
        videos=VIDEOS_HEADER
        + f'{VIDEO},,"two\nlines",L7V_woT8mbQ,0,Name,{{}},{USER}\n'
        + f"nope,,,L7V_woT8mbQ,0,Name,{{}},{USER}\n"
        + f"{VIDEO},too,few\n"
        + f'{VIDEO},,"quoted" wrongly,L7V_woT8mbQ,0,Name,{{}},{USER}\n'
        + good,
        video_ratings_by_user=f"videoid,userid,rating\n{VIDEO},{USER},many\n",
    )
    data = read_folder(tmp_path)
    assert len(data.videos) == 2
    reasons = {(bad.source.file.name, bad.source.line): bad.reason for bad in data.bad_rows}
    assert set(reasons) == {("videos.csv", 4), ("videos.csv", 5), ("videos.csv", 6), ("video_ratings_by_user.csv", 2)}
    assert "videoid is not a UUID: 'nope'" in reasons["videos.csv", 4]
    assert "3 columns instead of 8" in reasons["videos.csv", 5]
    assert "rating is not a whole number" in reasons["video_ratings_by_user.csv", 2]


def test_bytes_that_are_not_utf_8_spoil_their_row_alone(tmp_path: Path) -> None:
    rows = [
        f"{VIDEO},,,L7V_woT8mbQ,0,caf\xe9,{{}},{USER}\n".encode("latin-1"),
        f"{VIDEO},,,L7V_woT8mbQ,0,café,{{}},{USER}\n".encode(),
    ]
    (tmp_path / "videos.csv").write_bytes(VIDEOS_HEADER.encode() + b"".join(rows))
    data = read_folder(tmp_path)
    assert [video.name for video in data.videos] == ["café"]
    assert [(bad.source.line, bad.reason) for bad in data.bad_rows] == [(2, "is not UTF-8")]


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    write(tmp_path, videos=f"videoid,name\n{VIDEO},Name\n")
    [bad] = read_folder(tmp_path).bad_rows
    assert bad.reason == "there is no column location"


def test_a_folder_of_another_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownForm, match=r"no videos\.csv"):
        read_folder(tmp_path)
    write(tmp_path, videos="title,year\nHeat,1995\n")
    with pytest.raises(UnknownForm, match="'title'"):
        read_folder(tmp_path)


def test_trending_videos_bring_a_person_for_each_channel_and_few_plays(tmp_path: Path) -> None:
    write(
        tmp_path,
        videos="youtube_id,title,channel,published,tags,views,description\n"
        'aaaaaaaaaaa,One,Chän & el,2017-11-13T17:13:01.000Z,a|b c|,748374,"x\ny"\n'
        "bbbbbbbbbbb,Two,Chän & el,2017-11-14T17:13:01.000Z,,99999,\n"
        "ccccccccccc,Three,,,x,1,\n",
    )
    data = read_folder(tmp_path)
    [person] = data.people
    assert person.first_name == "Chän & el"
    assert person.email.isascii()
    assert [(video.name, video.tags, video.location) for video in data.videos] == [
        ("One", ("a", "b c"), "aaaaaaaaaaa"),
        ("Two", (), "bbbbbbbbbbb"),
    ]
    assert {video.user_id for video in data.videos} == {person.user_id}
    assert [plays.views for plays in data.plays] == [7, 0]
    assert [bad.reason for bad in data.bad_rows] == ["channel is blank"]
    assert read_folder(tmp_path).videos == data.videos, "ids must be the same each time"


def test_films_bring_a_person_for_each_number_and_whole_stars(tmp_path: Path) -> None:
    write(
        tmp_path,
        videos='movie_id,youtube_id,title,genres\n11,UrC75wUKoFM,"American President, The (1995)",Comedy|Drama\n'
        "12,tVdn8JH91Dg,Unsorted,(no genres listed)\n",
        ratings="user_id,movie_id,rating,timestamp\n1,11,2.5,1\n1,12,5.0,1\n2,11,0.5,1\n2,12,4.7,1\n",
    )
    data = read_folder(tmp_path)
    assert [video.tags for video in data.videos] == [("Comedy", "Drama"), ()]
    assert [rating.rating for rating in data.ratings] == [3, 5, 1]
    assert {rating.user_id for rating in data.ratings} == {made_id("person", "1"), made_id("person", "2")}
    assert len(data.people) == 3
    [bad] = data.bad_rows
    assert bad.source.line == 5


@pytest.mark.parametrize(
    ("halves", "stars"),
    [
        ("0.5", 1),
        ("1.0", 1),
        ("1.5", 2),
        ("2.0", 2),
        ("2.5", 3),
        ("3.0", 3),
        ("3.5", 4),
        ("4.0", 4),
        ("4.5", 5),
        ("5", 5),
    ],
)
def test_half_stars_are_rounded_half_up(halves: str, stars: int) -> None:
    assert whole_stars(halves) == stars


@pytest.mark.parametrize("text", ["0", "5.5", "2.25", "-1", "nan", "inf", "many", ""])
def test_what_is_no_rating_in_half_stars_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        whole_stars(text)


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ('{"a","b c"}', ("a", "b c")),
        ("{'a', 'it''s'}", ("a", "it's")),
        ("{a, b}", ("a", "b")),
        ('["a","b,c"]', ("a", "b,c")),
        ("a,b", ("a", "b")),
        ("{}", ()),
        ("", ()),
        ("null", ("null",)),
    ],
)
def test_a_set_of_tags_is_read_in_all_its_spellings(text: str, tags: tuple[str, ...]) -> None:
    assert parse_tags(text) == tags


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(min_size=1)))
def test_quoted_tags_come_back_as_they_were(tags: list[str]) -> None:
    written = "{" + ",".join('"' + tag.replace('"', '""') + '"' for tag in tags) + "}"
    assert parse_tags(written) == tuple(tags)


@settings(deadline=None)
@given(st.text())
def test_any_text_gives_tags_or_a_value_error(text: str) -> None:
    try:
        parse_tags(text)
    except ValueError:
        return
