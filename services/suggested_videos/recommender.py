"""How a list comes about: which list is asked for, whether the one that is kept will do, and if not, how it is made.

A list is computed from bounded samples when it is asked for, kept in Cassandra, and served from there until what it rests on has changed.
Its pages are pages of that one list, whatever is computed meanwhile. What may be shown is decided page by page: videos that are gone, or
that the person has rated since, are left out there.
"""

import asyncio
import json
import logging
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, NamedTuple, TypeVar
from uuid import UUID, uuid4
from weakref import WeakValueDictionary

from common.timestamps import now
from grpc_discovery.serving.deadlines import set_time_left
from services.suggested_videos import ranking
from services.suggested_videos.histories import Histories
from services.suggested_videos.ranking import Content, content_of
from services.suggested_videos.repository import DescribedRow, ListName, ListRow, PreviewRow, SuggestedVideosRepository

RELATED, SUGGESTED = "related", "suggested"
NOBODY = UUID(int=0)
POPULAR = ListName("popular", NOBODY)

MAX_LISTED = 200
"""Videos that a list holds."""

# The sample that a list is computed from.
OWN_RATINGS = 500  # newest ratings of the person who asks
LIKINGS = 60  # of them, newest likings whose other likers are looked for
LIKERS = 100  # ratings read of each of those videos
PEOPLE = 150  # people most alike who are heard
LIKERS_OF_VIDEO = 250  # ratings read of a video whose neighbours are wanted
TAGS, OF_TAG = 20, 300  # tags of a video or a taste that are looked up, and videos read of each
WORDS, OF_WORD = 20, 50  # words, and videos read of each
AUTHORS, OF_AUTHOR = 3, 50
DESCRIBED = 60  # candidates whose descriptions are read
CANDIDATES = 200  # whose totals or contents are read
MARKED, POPULAR_KEPT = 200, 400

# How much ratings weigh against content: half at so many likers of a video, at so many likings of a person (from there it rises by the
# square: ten likings tell more of a taste than the genres of what is liked), at so many people alike.
_FEW_LIKERS, _FEW_LIKED, _FEW_PEOPLE = 5.0, 2.5, 3.0
_OF_WORDS, _COMMON = (
    0.3,
    0.25,
)  # when candidates are chosen: a word against a tag, and how much less one says that many have
_RATINGS_ALONE = 0.95  # above it, the content of a taste is not looked up

# When a list that is kept will do.
_SHORT, _SHORT_LIVES = (
    50,
    timedelta(seconds=1),
)  # a short list is cheap to make, and in a small catalogue each new video may belong into it
_REFRESHED_AFTER = timedelta(minutes=10)
_WATCHED = 10
_GROWN, _GROWN_BY = 1.25, 2
_POPULAR_LIVES = timedelta(seconds=2)
_MARKS_LIVE = timedelta(days=1)
_MARKS_LATE = timedelta(minutes=2)

_log = logging.getLogger(__name__)
Key = TypeVar("Key", str, UUID)
Reasons = dict[UUID, dict[str, Any]]


class FromRatings(NamedTuple):
    """What ratings say: a score for videos, the best 1, how much that weighs (0 to 1), and the likings that led to each."""

    scores: dict[UUID, float]
    trust: float
    because: dict[UUID, list[tuple[str, float]]]


class Made(NamedTuple):
    """A list that was computed, and what it rests on."""

    video_ids: list[UUID]
    reasons: Reasons
    watched: list[UUID]
    watched_ratings: int


Make = Callable[[], Awaitable[Made]]


class Asked(NamedTuple):
    """What a caller wants: how many videos, for whom (None: for anybody), and whether to say why."""

    size: int
    viewer: UUID | None
    explain: bool


class Page(NamedTuple):
    """A page of a list: the videos, where the list goes on (None: it does not), and why each video is there."""

    videos: list[PreviewRow]
    next: tuple[str, datetime, int] | None
    reasons: dict[str, Any]


class Recommender:
    """Makes, keeps and pages through lists."""

    def __init__(self, repository: SuggestedVideosRepository) -> None:
        self._repository = repository
        self._histories = Histories(repository)
        self._owner = uuid4()
        self._locks: WeakValueDictionary[ListName, asyncio.Lock] = WeakValueDictionary()
        self._refreshing: set[asyncio.Task[None]] = set()

    async def related(self, video_id: UUID, size: int, position: tuple[datetime, int] | None, explain: bool) -> Page:
        """A page of the videos like `video_id`, from the beginning or from a position in a list made earlier."""
        name, asked = ListName(RELATED, video_id), Asked(size, None, explain)
        if position:
            return await self._later_page(name, position, asked)
        known, totals, kept = await asyncio.gather(
            self._repository.described([video_id]),
            self._repository.totals([video_id]),
            self._repository.newest_list(name),
        )
        video = known.get(video_id)
        if video is None:
            return Page([], None, {})
        count = totals[video_id].ratings or 0 if video_id in totals else 0
        basis = _fingerprint(video)

        async def make() -> Made:
            return await self._make_related(video, count)

        will_do = kept is not None and kept.basis == basis and not _outgrown(kept, count)
        return await self._first_page(name, basis, kept if will_do else None, make, asked)

    async def suggested(
        self, user_id: UUID, size: int, position: tuple[str, datetime, int] | None, explain: bool
    ) -> Page:
        """A page of videos for a person, or of popular ones for somebody of whom nothing is known."""
        name, asked = ListName(SUGGESTED, user_id), Asked(size, user_id, explain)
        if position:
            kind, made_at, at = position
            return await self._later_page(name if kind == SUGGESTED else POPULAR, (made_at, at), asked)
        newest, kept = await asyncio.gather(self._repository.newest_rating(user_id), self._repository.newest_list(name))
        if newest is not None:
            basis = newest.isoformat()

            async def make() -> Made:
                return await self._make_suggested(user_id)

            will_do = (
                kept is not None
                and kept.basis == basis
                and not _outgrown(kept, await self._ratings_of(kept.watched or []))
            )
            page = await self._first_page(name, basis, kept if will_do else None, make, asked)
            if page.videos:
                return page
        popular = await self._repository.newest_list(POPULAR)
        return await self._first_page(POPULAR, "", popular, self._make_popular, asked)

    async def refresh(self, name: ListName) -> int:
        """Compute a list now and keep it; returns how many videos it holds. For those who want lists made before they are asked for."""
        if name.kind == SUGGESTED:
            newest = await self._repository.newest_rating(name.of)
            if newest is None:
                return 0
            basis, make = newest.isoformat(), self._make_suggested(name.of)
        else:
            video, ratings = (
                (await self._repository.described([name.of])).get(name.of),
                await self._ratings_of([name.of]),
            )
            if video is None:
                return 0
            basis, make = _fingerprint(video), self._make_related(video, ratings)
        before = await self._repository.newest_list(name)
        return len((await self._keep(name, basis, before, await make)).video_ids or [])

    # Pages

    async def _first_page(self, name: ListName, basis: str, kept: ListRow | None, make: Make, asked: Asked) -> Page:
        """The first page of the list that is kept, if it will do, or else of one made now."""
        if kept is not None and not _too_old(name, kept):
            page, holes = await self._page(name, kept, 0, asked)
            if not holes:
                if _age(kept) > _REFRESHED_AFTER:
                    self._refresh_behind(name, basis, kept, make)
                return page
        began = now()
        lock = self._locks.setdefault(name, asyncio.Lock())
        async with lock:  # whoever waits for a list that another call is making takes that one
            newest = await self._repository.newest_list(name)
            if newest is None or newest.basis != basis or newest.checked_at is None or newest.checked_at < began:
                newest = await self._keep(name, basis, newest, await make())
        page, _ = await self._page(name, newest, 0, asked)
        return page

    async def _later_page(self, name: ListName, position: tuple[datetime, int], asked: Asked) -> Page:
        """A later page: of the very list that the first one was of. Once that is gone (a day later), of the newest."""
        made_at, at = position
        kept = await self._repository.list_made_at(name, made_at) or await self._repository.newest_list(name)
        if kept is None:
            return Page([], None, {})
        page, _ = await self._page(name, kept, at, asked)
        return page

    async def _page(self, name: ListName, kept: ListRow, at: int, asked: Asked) -> tuple[Page, bool]:
        """The page of a list that begins at `at`, and whether videos of it were gone."""
        size, viewer, explain = asked
        listed = kept.video_ids or []
        found: list[tuple[int, PreviewRow]] = []
        holes = False
        while at < len(listed) and len(found) <= size:
            ids = listed[at : at + size + 5 - len(found)]
            previews, own = await asyncio.gather(self._repository.previews(ids), self._own(viewer, ids))
            for offset, video_id in enumerate(ids):
                preview = previews.get(video_id)
                holes |= preview is None
                if preview is not None and video_id not in own and (viewer is None or preview.user_id != viewer):
                    found.append((at + offset, preview))
            at += len(ids)
        videos = [preview for _, preview in found[:size]]
        reasons = json.loads(await self._repository.reasons(name, kept.made_at)) if explain and videos else {}
        return Page(
            videos, (name.kind, kept.made_at, found[size - 1][0] + 1) if len(found) > size else None, reasons
        ), holes

    async def _own(self, viewer: UUID | None, video_ids: Collection[UUID]) -> Collection[UUID]:
        return await self._repository.own_ratings(viewer, video_ids) if viewer else ()

    # Lists that are kept

    async def _keep(self, name: ListName, basis: str, before: ListRow | None, made: Made) -> ListRow:
        """Keep a list. One that came out as before keeps its moment, and with it the pages under way."""
        timestamp = now()
        if before is None:
            made_at = timestamp
        elif before.video_ids == made.video_ids:
            made_at = before.made_at
        else:
            made_at = max(timestamp, before.made_at + timedelta(milliseconds=1))
        row = ListRow(made_at, timestamp, basis, made.watched, made.watched_ratings, made.video_ids)
        reasons = {str(video_id): reason for video_id, reason in made.reasons.items()}
        await self._repository.save_list(name, row, json.dumps(reasons, ensure_ascii=False, separators=(",", ":")))
        return row

    def _refresh_behind(self, name: ListName, basis: str, kept: ListRow, make: Make) -> None:
        """Make a list anew behind the caller's back: one at a time in this process, and by one instance at a time."""
        if self._refreshing:
            return

        async def refresh() -> None:
            set_time_left(None)  # the caller's deadline is not this work's
            try:
                if await self._repository.claim(name, self._owner):
                    await self._keep(name, basis, kept, await make())
            except Exception as error:  # nobody waits for it; the next one who asks tries again
                _log.warning("the list %s of %s was not refreshed: %s", *name, error)

        task = asyncio.create_task(refresh(), name=f"refresh {name.kind} {name.of}")
        self._refreshing.add(task)
        task.add_done_callback(self._refreshing.discard)

    async def _ratings_of(self, video_ids: Collection[UUID]) -> int:
        return sum(row.ratings or 0 for row in (await self._repository.totals(video_ids)).values()) if video_ids else 0

    # Making a list

    async def _make_related(self, video: DescribedRow, count: int) -> Made:
        """Videos that are liked by those who like this one, blended with those of like content, content alone where nobody does."""
        about = content_of(video.user_id, video.name, video.tags, video.description)
        rows, alike = await asyncio.gather(
            self._repository.ratings_of([video.video_id], LIKERS_OF_VIDEO),
            self._of_like_content(about, {video.video_id}),
        )
        likers = [row.user_id for row in rows if row.user_id and (row.rating or 0) >= ranking.LIKED]
        together = ranking.liked_together(video.video_id.int, await self._histories.of(likers))
        most_together = sorted(together, key=lambda number: (-together[number], number))[:CANDIDATES]
        neighbours = {UUID(int=number): together[number] for number in most_together}
        totals, contents = await asyncio.gather(
            self._repository.totals(neighbours), self._repository.contents({*neighbours, *alike})
        )
        close = {
            video_id: ranking.closeness(
                shared, ranking.likings(totals[video_id].ratings or 0, totals[video_id].total or 0)
            )
            for video_id, shared in neighbours.items()
            if video_id in totals
            and video_id in contents  # those nobody rates any more are remembered from before the ratings were emptied
        }
        trust = len(likers) / (len(likers) + _FEW_LIKERS)
        about_each = {video_id: content_of(row.user_id, row.name, row.tags) for video_id, row in contents.items()}
        about_each |= await self._by_description(about, about_each, close)
        made = self._blended(FromRatings(ranking.scaled(close), trust, {}), about, about_each)
        return made._replace(watched=[video.video_id], watched_ratings=count)

    async def _make_suggested(self, user_id: UUID) -> Made:
        """What people of like taste like, blended with what is like the person's likings, then what is popular."""
        newest_first: dict[UUID, int] = {}
        for row in await self._repository.rated_by(user_id, OWN_RATINGS):
            newest_first.setdefault(row.video_id, row.rating or 0)
        # What the log of ratings says is a hint; this is what counts, also after the ratings were emptied.
        counting = await self._repository.own_ratings(user_id, newest_first)
        rated = [(video_id, counting[video_id]) for video_id in newest_first if video_id in counting]
        if not rated:
            return Made([], {}, [], 0)
        taste = ranking.taste(rated)
        liked = [video_id for video_id, rating in rated if rating >= ranking.LIKED][:LIKINGS]
        rows, popular = await asyncio.gather(self._repository.ratings_of(liked, LIKERS), self._popular_ids())
        shared = Counter(
            row.user_id for row in rows if row.user_id and row.user_id != user_id and (row.rating or 0) >= ranking.LIKED
        )
        people = sorted(shared, key=lambda each: (-shared[each], each))[:PEOPLE]
        trust = _trust_in(len(liked)) * len(people) / (len(people) + _FEW_PEOPLE)
        about = await self._content_of_taste(taste) if trust < _RATINGS_ALONE else Content()
        histories, alike = await asyncio.gather(self._histories.of(people), self._of_like_content(about, set(counting)))
        own = {video_id.int: weight for video_id, weight in taste.items()}
        prediction = await ranking.predicted(own, histories, MAX_LISTED + len(liked) // 4, own.keys())
        scores = {UUID(int=number): score for number, score in prediction.scores.items()}
        watched = liked[:_WATCHED]
        totals, contents = await asyncio.gather(
            self._repository.totals({*scores, *watched}),
            self._repository.contents({*scores, *alike, *popular} - counting.keys()),
        )
        contents = {video_id: row for video_id, row in contents.items() if row.user_id != user_id}
        scores = {video_id: score for video_id, score in scores.items() if video_id in totals and video_id in contents}
        because = {
            UUID(int=number): [(str(UUID(int=mine)), round(weight, 4)) for mine, weight in shares]
            for number, shares in prediction.because.items()
            if shares
        }
        about_each = {video_id: content_of(row.user_id, row.name, row.tags) for video_id, row in contents.items()}
        made = self._blended(FromRatings(ranking.scaled(scores), trust, because), about, about_each)
        rest = [video_id for video_id in popular if video_id not in made.reasons and video_id in contents]
        for video_id in rest[: MAX_LISTED - len(made.video_ids)]:
            made.video_ids.append(video_id)
            made.reasons[video_id] = {"popular": True}
        return made._replace(
            watched=watched, watched_ratings=sum(row.ratings or 0 for row in totals.values() if row.video_id in watched)
        )

    def _blended(self, ratings: FromRatings, about: Content, about_each: Mapping[UUID, Content]) -> Made:
        """What ratings say and likeness of content, weighing the rest, as one list of those in `about_each`, with the reasons."""
        likenesses = {video_id: ranking.likeness(about, content) for video_id, content in about_each.items()}
        blended = {
            video_id: ratings.trust * ratings.scores.get(video_id, 0.0) + (1 - ratings.trust) * like.score
            for video_id, like in likenesses.items()
        }
        positive = {video_id: score for video_id, score in blended.items() if score > 0}
        video_ids = ranking.best_first(positive)[:MAX_LISTED]
        reasons: Reasons = {}
        for video_id in video_ids:
            like = likenesses[video_id]
            reasons[video_id] = {
                "ratings": round(ratings.trust * ratings.scores.get(video_id, 0.0), 4),
                "content": round((1 - ratings.trust) * like.score, 4),
            }
            shown = {
                "because": ratings.because.get(video_id),
                "tags": like.tags,
                "words": like.words,
                "author": like.author,
            }
            reasons[video_id] |= {name: value for name, value in shown.items() if value}
        return Made(video_ids, reasons, [], 0)

    # Content

    async def _content_of_taste(self, taste: dict[UUID, float]) -> Content:
        """What a person's newest ratings are about."""
        about = Content()
        for row in (await self._repository.contents(list(taste)[:LIKINGS])).values():
            about.add(content_of(row.user_id, row.name, row.tags), taste[row.video_id])
        return about

    async def _by_description(
        self, about: Content, about_each: Mapping[UUID, Content], scores: Collection[UUID]
    ) -> dict[UUID, Content]:
        """The contents, with descriptions, of candidates that nothing else ties to what they were found for."""
        untied = [
            each
            for each, content in about_each.items()
            if each not in scores and not ranking.likeness(about, content).score
        ]
        rows = await self._repository.described(sorted(untied)[:DESCRIBED])
        return {
            video_id: content_of(row.user_id, row.name, row.tags, row.description) for video_id, row in rows.items()
        }

    async def _of_like_content(self, about: Content, left_out: Collection[UUID]) -> list[UUID]:
        """Videos that share most with a content: tags or words they have in common, rare ones counting more, and the same author."""
        tags = _heaviest(about.tags, TAGS)
        tagged, worded, authored = await asyncio.gather(
            self._repository.tagged({*tags, *(tag for tag in about.spellings if tag.lower() in tags)}, OF_TAG),
            self._repository.with_words(_heaviest(about.words, WORDS), OF_WORD),
            self._repository.of_authors(_heaviest(about.authors, AUTHORS), OF_AUTHOR),
        )
        found = [("tag", row.tag.lower(), row.video_id) for row in tagged]
        found += [("word", row.word, row.video_id) for row in worded]
        sizes = Counter((kind, key) for kind, key, _ in found)
        shared: dict[UUID, float] = defaultdict(float)
        for kind, key, video_id in found:
            weight = about.tags.get(key, 0.0) if kind == "tag" else _OF_WORDS * about.words.get(key, 0.0)
            shared[video_id] += weight / (1 + sizes[kind, key]) ** _COMMON
        best = [video_id for video_id in ranking.best_first(shared) if video_id not in left_out][:CANDIDATES]
        return best + [
            video_id for video_id in dict.fromkeys(authored) if video_id not in left_out and video_id not in shared
        ]

    # What is popular

    async def _popular_ids(self) -> list[UUID]:
        """The popular videos, best first, made anew when they are some seconds old."""
        kept = await self._repository.newest_list(POPULAR)
        if kept is None or _age(kept) > _POPULAR_LIVES:
            kept = await self._keep(POPULAR, "", kept, await self._make_popular())
        return kept.video_ids or []

    async def _make_popular(self) -> Made:
        """The videos that are rated well by several or played often: those kept as such, and those marked since that was last looked at."""
        members, folded_until = await self._repository.popular()
        timestamp = now().replace(second=0, microsecond=0)
        minute = max(folded_until, timestamp - _MARKS_LIVE) if folded_until else timestamp - _MARKS_LIVE
        minutes = [
            minute + timedelta(minutes=count) for count in range(int((timestamp - minute) / timedelta(minutes=1)) + 1)
        ]
        candidates = members | await self._repository.marked(minutes, MARKED)
        totals, plays, contents = await asyncio.gather(
            self._repository.totals(candidates),
            self._repository.plays(candidates),
            self._repository.contents(candidates),
        )
        scores = {}
        for video_id in contents:
            count, total = (
                (totals[video_id].ratings or 0, totals[video_id].total or 0) if video_id in totals else (0, 0)
            )
            scores[video_id] = ranking.popularity(count, total, plays.get(video_id, 0))
        ranked = [video_id for video_id in ranking.best_first(scores) if scores[video_id] > 0]
        best = set(ranked[:POPULAR_KEPT])
        read_until = max(timestamp - _MARKS_LATE, minute)  # marks of the last minutes may still be on their way
        if best != members or read_until != folded_until:
            await self._repository.keep_popular(best - members, members - best, read_until)
        return Made(ranked[:MAX_LISTED], {video_id: {"popular": True} for video_id in ranked[:MAX_LISTED]}, [], 0)


def _trust_in(likings: int) -> float:
    """How much the likings of a person weigh against what they are about, 0 to 1."""
    return float(likings**2 / (likings**2 + _FEW_LIKED**2))


def _fingerprint(video: DescribedRow) -> str:
    """Changes when a video gets another name, other tags or another description, also under the same id."""
    text = repr((video.user_id, video.name, sorted(video.tags or ()), video.description))
    return blake2b(text.encode(), digest_size=8).hexdigest()


def _heaviest(weights: Mapping[Key, float], limit: int) -> list[Key]:
    """The keys of greatest positive weight."""
    return sorted((key for key, weight in weights.items() if weight > 0), key=lambda key: (-weights[key], key))[:limit]


def _age(kept: ListRow) -> timedelta:
    return now() - (kept.checked_at or kept.made_at)


def _too_old(name: ListName, kept: ListRow) -> bool:
    """Whether a list must not be shown again though nothing it is known to rest on has changed."""
    return _age(kept) > (
        _POPULAR_LIVES if name == POPULAR else _SHORT_LIVES if len(kept.video_ids or []) < _SHORT else timedelta.max
    )


def _outgrown(kept: ListRow, ratings: int) -> bool:
    """Whether what a list was made from has grown, or shrunk, so much that it is of another time."""
    before = kept.watched_ratings or 0
    return ratings > before * _GROWN + _GROWN_BY or ratings < before / _GROWN - _GROWN_BY
