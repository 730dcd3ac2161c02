"""The arithmetic of suggestions."""

import random
from collections.abc import Collection, Sequence
from uuid import UUID, uuid4

import pytest

from common.ring_sample import RING_START, SAMPLE_ROWS
from services.suggested_videos import ranking
from services.suggested_videos.content import Comparison, Content, content_of
from services.suggested_videos.histories import Histories, Likers
from services.suggested_videos.ranking import History
from services.suggested_videos.rarity import counted
from services.suggested_videos.rows import RatingRow, RingRow


def likeness(about: Content, other: Content) -> float:
    """How alike two contents are where all tags and words are as rare as each other."""
    return Comparison(about, lambda _: 1.0, lambda _: 1.0).score(other)


def likes(*videos: int) -> History:
    return History(videos, (1.0,) * len(videos))


async def test_predictions_solve_the_ridge_regression_they_are_said_to_solve() -> None:
    chance = random.Random(7)
    people = [
        History(tuple(videos), tuple(chance.choice((1.0, 0.3, -0.3)) for _ in videos))
        for videos in (chance.sample(range(40), 12) for _ in range(15))
    ]
    own = dict.fromkeys(range(8), 1.0)
    prediction = await ranking.predicted(own, people, 1000, own.keys())
    # By Gaussian elimination on the dense matrix: (X X' + r I) a = X w, scores = X' a.
    dense = [[dict(zip(*person, strict=True)).get(video, 0.0) for video in range(40)] for person in people]
    size = len(people)
    system = [
        [sum(a * b for a, b in zip(one, other, strict=True)) for other in dense]
        + [sum(one[video] * weight for video, weight in own.items())]
        for one in dense
    ]
    for at in range(size):
        system[at][at] += 200.0
    for at in range(size):
        for other in range(size):
            if other != at:
                factor = system[other][at] / system[at][at]
                system[other] = [a - factor * b for a, b in zip(system[other], system[at], strict=True)]
    say = [row[-1] / row[at] for at, row in enumerate(system)]
    scores = [sum(a * row[video] for a, row in zip(say, dense, strict=True)) for video in range(40)]
    assert prediction.scores == {
        video: pytest.approx(score, rel=0.02, abs=1e-5)
        for video, score in enumerate(scores)
        if video not in own and score > 0
    }


async def test_nobody_to_hear_predicts_nothing() -> None:
    assert (await ranking.predicted({1: 1.0}, [], 10, ())).scores == {}
    assert (await ranking.predicted({1: 1.0}, [likes(2, 3)], 10, ())).scores == {}


async def test_a_prediction_names_the_likings_it_comes_from() -> None:
    prediction = await ranking.predicted({1: 1.0, 2: 1.0}, [likes(1, 5), likes(1, 5), likes(2, 6)], 10, {1, 2})
    assert [video for video, _ in prediction.because[5]] == [1]
    assert [video for video, _ in prediction.because[6]] == [2]


def test_a_taste_weighs_recent_likings_more_and_low_ratings_against() -> None:
    newest, older, disliked = uuid4(), uuid4(), uuid4()
    taste = ranking.taste([(newest, 5), (disliked, 1), (older, 4)])
    assert taste[newest] > taste[older] > 0 > taste[disliked]


def test_few_votes_are_not_a_high_mean() -> None:
    assert ranking.popularity(40, 172, 0) > ranking.popularity(1, 5, 0) > 0
    assert ranking.popularity(20, 30, 0) < 0
    assert ranking.popularity(0, 0, 100) > 0
    assert ranking.popularity(0, 0, 0) == 0


def test_few_likings_in_common_are_not_much() -> None:
    assert ranking.closeness(40, 60) > ranking.closeness(2, 2)


def test_the_same_tags_are_more_alike_than_a_word_and_a_word_more_than_an_author() -> None:
    author = uuid4()
    about = content_of(author, "Sailing round Brittany", {"boats", "sea"})
    others = [
        content_of(None, "Harbours", {"sea", "boats"}),
        content_of(None, "Waves", {"sea", "water"}),
        content_of(None, "Cheese of Brittany", {"food"}),
        content_of(author, "Garden", {"flowers"}),
        content_of(None, "Chess", set()),
    ]
    scores = [likeness(about, other) for other in others]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == len(scores)
    assert scores[-1] == 0


def test_what_is_disliked_counts_against() -> None:
    taste = Content()
    taste.add(content_of(None, "", {"jazz"}), 1.0)
    taste.add(content_of(None, "", {"rock"}), -0.3)
    assert likeness(taste, content_of(None, "", {"jazz"})) > 0 > likeness(taste, content_of(None, "", {"rock"}))


def test_equal_scores_stand_by_id() -> None:
    ids = [uuid4() for _ in range(20)]
    assert ranking.best_first(dict.fromkeys(ids, 1.0)) == sorted(ids)


class Source:
    """Ratings of people, and how often they were read."""

    def __init__(self, rows: Sequence[RatingRow]) -> None:
        self.rows, self.reads = rows, 0

    async def rated_by_each(self, user_ids: Collection[UUID], limit: int) -> Sequence[RatingRow]:
        self.reads += len(user_ids)
        return [row for row in self.rows if row.user_id in user_ids]


async def test_histories_are_read_once_and_keep_the_newest_rating_of_a_video() -> None:
    one, nobody, video, other = (uuid4() for _ in range(4))
    source = Source([RatingRow(one, video, 1), RatingRow(one, other, 5), RatingRow(one, video, 5)])
    histories = Histories(source)
    for _ in range(2):
        assert await histories.of([nobody, one], 2) == [
            History((), ()),
            History((video.int, other.int), (ranking.value_of(1), ranking.value_of(5))),
        ]
    assert source.reads == 2


async def test_of_many_people_those_in_memory_and_the_first_others_are_heard() -> None:
    people = [uuid4() for _ in range(9)]
    source = Source([RatingRow(person, person, 5) for person in people])
    histories = Histories(source)
    await histories.of(people[6:], 9)
    heard = await histories.of(people, 2)
    assert [history.videos[0] for history in heard] == [person.int for person in (*people[:2], *people[6:])]
    assert source.reads == 5


class Raters:
    """Ratings of videos, and how often they were read."""

    def __init__(self, rows: Sequence[RatingRow]) -> None:
        self.rows, self.reads = rows, 0

    async def ratings_of(self, video_ids: Collection[UUID], limit: int) -> Sequence[RatingRow]:
        self.reads += len(video_ids)
        return [row for row in self.rows if row.video_id in video_ids]


async def test_who_likes_a_video_that_many_rated_is_read_once_and_of_one_that_few_rated_each_time() -> None:
    few, many, people = uuid4(), uuid4(), [uuid4() for _ in range(150)]
    source = Raters([RatingRow(person, many, 5 - number % 5) for number, person in enumerate(people)])
    likers = Likers(source)
    for _ in range(3):
        assert (await likers.of([few, many], 250)).get(many) == tuple(
            person for number, person in enumerate(people) if number % 5 < 2
        )
    assert source.reads == 4


def ring_rows(count: int, of: int) -> list[RingRow]:
    """The first `count` of `of` videos that lie evenly on the ring: all with the tag `common`, every fourth with the tag and word `some`."""
    return [
        RingRow(
            RING_START + (number + 1) * 2**64 // of,
            uuid4(),
            None,
            None,
            "Some title" if number % 4 == 0 else "Title",
            "",
            {"common", "some"} if number % 4 == 0 else {"common"},
        )
        for number in range(count)
    ]


async def test_a_sample_tells_how_many_videos_there_are_and_how_rare_tags_and_words_are() -> None:
    rarities = await counted(ring_rows(SAMPLE_ROWS, 100_000))
    assert rarities.videos == pytest.approx(100_000, rel=0.02)
    assert 0 < rarities.of_tag("common") < rarities.of_tag("some") < rarities.of_tag("unknown") < 1
    assert rarities.of_word("titl") < rarities.of_word("unknown")
    # All that have it were read: that is exact. More were not read: the sample tells.
    assert rarities.of_read_tag("rare", 3, 200) > rarities.of_tag("unknown")
    assert rarities.of_read_tag("rare", 1, 200) == pytest.approx(1.0)
    assert rarities.of_read_tag("some", 200, 200) == pytest.approx(rarities.of_tag("some"))


async def test_of_few_videos_the_sample_is_all_there_are() -> None:
    assert (await counted(ring_rows(40, 1_000))).videos == 40
    nothing = await counted([])
    assert 0 < nothing.of_tag("any") <= 1


async def test_what_was_rated_beside_a_video_is_closer_to_it_than_what_was_rated_long_before() -> None:
    together = await ranking.liked_together(1, [likes(5, 1, 2, *range(100, 190), 3), likes(3, *range(200, 290), 2)])
    assert together[5] == together[2] - 1 > together[3] - 1 > 1
    assert 1 not in together
