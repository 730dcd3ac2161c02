"""Ranking in memory: from a plan and its postings to all videos that they tell of, best first. docs/search-and-suggestions.md has the rules."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from common.database import IdText
from common.time_slices import checkpoint
from language.scoring import ONCE_IN_NAME, scorer
from services.search.plan import BELOW, MAX_FEEDBACK_TERMS, MAX_GROUPS, MAX_WEIGHT, Group, Plan
from services.search.query_text import Query
from services.search.repository import Posting
from services.search.weights import PostingLists

MAX_SCORE = MAX_WEIGHT * (MAX_GROUPS + MAX_FEEDBACK_TERMS)
"""The score of a video that matches everything best."""

SOME_WORDS, ALL_BUT_MEANT, ALL_WORDS, ALL_IN_NAME = range(4)
"""The tiers: videos with some words of the query; with all, where other words may be meant by some; with all as typed; with all in the name."""

_SCORED_AT_ONCE = 512


class PlannedQuery(NamedTuple):
    """A query, its plan, and the postings that the plan is applied to; of excluded words those, too."""

    query: Query
    plan: Plan
    postings: PostingLists

    @property
    def required(self) -> list[int]:
        """The numbers of the groups that every result must match: those of quoted words."""
        quoted = [*(word.quoted for word in self.query.words), *(sign.quoted for sign in self.query.signs)]
        return [number for number, is_quoted in enumerate(quoted) if is_quoted]


class ResultKey(NamedTuple):
    """Where a video stands in a list: those that repeat the title of a newer one of the same author come after all others; then by tier, score, id."""

    repeats: int
    tier: int
    score: int
    video_id: UUID

    @property
    def order(self) -> "Order":
        """Sorts keys as the list shows them; no two are equal."""
        return self.repeats, -self.tier, -self.score, IdText(str(self.video_id))


Order = tuple[int, int, int, IdText]
"""The parts of a key as they sort, best first. Texts of ids sort like the ids."""


class Match(NamedTuple):
    """How a video matches a word of the query: what that adds to the score (in millionths), whether by its name, how, and by which terms."""

    score: int
    in_name: bool
    standing: int
    terms: tuple[str, ...]


_Match = tuple[int, bool, int, tuple[str, ...]]
"""The same as a plain tuple: thousands are made for a query, and a NamedTuple costs several times as much."""


class Candidate(NamedTuple):
    """A video that may match, of which submission its postings tell, and its matches."""

    key: ResultKey
    added_ms: int
    matches: tuple[Match, ...]


class Ranking(NamedTuple):
    """All videos that the postings tell of: their order, best first, with ids as numbers; and by that video_id what is known of each."""

    order: list[Order]
    newest: dict[IdText, Posting]
    matches: dict[IdText, list[_Match]]

    def candidates(self, start: int, end: int) -> list[Candidate]:
        """Some of them, from one place in the order to before another."""
        found = []
        for repeats, tier, score, video_id in self.order[start:end]:
            posting = self.newest[video_id]
            key = ResultKey(repeats, -tier, -score, UUID(posting.video_id))
            found.append(Candidate(key, posting.added_ms, tuple(Match(*match) for match in self.matches[video_id])))
        return found


async def ranked(plan: Plan, postings: PostingLists, required: Collection[int] = ()) -> Ranking:
    """All videos that match the plan, and at least the groups with the numbers `required`, best first."""
    # Thousands of postings go through here, so what is done for each is little.
    newest = await _newest_submissions([postings[term] for term in plan.terms])
    score = scorer(plan.average).score
    by_group = [await _best_matches(group, postings, newest, score) for group in plan.groups]
    matches: dict[IdText, list[_Match]] = {}
    for best in by_group:
        await checkpoint()
        for video_id, match in best.items():
            if video_id in matches:
                matches[video_id].append(match)
            else:
                matches[video_id] = [match]
    more = await _feedback(plan, postings, newest, score) if plan.feedback else {}
    wanted = len(plan.groups)
    order: list[Order] = []
    for index, (video_id, found) in enumerate(matches.items()):
        if index % _SCORED_AT_ONCE == 0:
            await checkpoint()
        total = found[0][0] if len(found) == 1 else sum([match[0] for match in found])
        if more:
            total += more.get(video_id, 0)
        order.append((0, -_tier(found) if len(found) == wanted else -SOME_WORDS, -total, video_id))
    for group in required:
        order = [key for key in order if key[-1] in by_group[group]]
    await checkpoint()
    order.sort()
    return Ranking(_repeats_last(order, newest), newest, matches)


async def _best_matches(
    group: Group, postings: PostingLists, newest: Mapping[IdText, Posting], score: Callable[[int], float]
) -> dict[IdText, _Match]:
    """The best match of each video for one word: those that stand below others count where no other is."""
    best: dict[IdText, _Match] = {}
    for terms, weight, standing in sorted(group, key=lambda each: each.standing):
        matched = await _scores(postings[terms[0]], newest, score)
        for term in terms[1:]:
            other = await _scores(postings[term], newest, score)
            # A video that must have all of the terms matches them as well as it matches the least of them.
            matched = {
                video_id: (min(how_well, other[video_id][0]), in_name and other[video_id][1])
                for video_id, (how_well, in_name) in matched.items()
                if video_id in other
            }
        await checkpoint()
        for video_id, (how_well, in_name) in matched.items():
            value = round(weight * how_well)
            before = best.get(video_id)
            if before is None or (before[0] < value and before[2] == standing):
                best[video_id] = value, in_name, standing, terms
    return best


async def _feedback(
    plan: Plan, postings: PostingLists, newest: Mapping[IdText, Posting], score: Callable[[int], float]
) -> dict[IdText, int]:
    """What the words of the first results add to the score of each video."""
    more: dict[IdText, int] = {}
    for term, weight in plan.feedback:
        known = [posting for posting in postings[term] if posting.video_id in newest]
        for video_id, (how_well, _) in (await _scores(known, newest, score)).items():
            more[video_id] = more.get(video_id, 0) + round(weight * how_well)
    return more


async def _scores(
    postings: Sequence[Posting], newest: Mapping[IdText, Posting], score: Callable[[int], float]
) -> dict[IdText, tuple[float, bool]]:
    """By id, how well each video matches, and whether by its name."""
    await checkpoint()
    return {
        video_id: (score(counts), counts >= ONCE_IN_NAME)
        for video_id, added_ms, counts, _ in postings
        if added_ms == newest[video_id][1]  # else it is left over from what was there before under this id
    }


def _tier(found: Sequence[_Match]) -> int:
    """The tier of a video that has all words of the query."""
    if any(standing == BELOW for _, _, standing, _ in found):
        return ALL_BUT_MEANT
    return ALL_IN_NAME if all(in_name for _, in_name, _, _ in found) else ALL_WORDS


def _repeats_last(order: list[Order], newest: Mapping[IdText, Posting]) -> list[Order]:
    """The order with videos behind all others that have the title of a newer one by the same author."""
    newest_with: dict[int, tuple[int, IdText]] = {}
    repeated: set[IdText] = set()
    for *_, video_id in order:
        _, added_ms, _, title = newest[video_id]
        if title is not None:
            submitted = added_ms, video_id
            other = newest_with.setdefault(title, submitted)
            if other != submitted:
                newest_with[title] = max(submitted, other)
                repeated.add(min(submitted, other)[1])
    if not repeated:
        return order
    return [key for key in order if key[-1] not in repeated] + [(1, *key[1:]) for key in order if key[-1] in repeated]


async def _newest_submissions(lists: Iterable[Sequence[Posting]]) -> dict[IdText, Posting]:
    """By id: a posting of the newest submission of each video."""
    newest: dict[IdText, Posting] = {}
    for postings in lists:
        await checkpoint()
        for posting in postings:
            known = newest.setdefault(posting[0], posting)
            if known[1] < posting[1]:
                newest[posting[0]] = posting
    return newest
