"""Planning a query: which terms of the index stand for each of its words, and how much each counts.

One round of reads fetches the postings of the words, of neighbours written joined, and of words with signs. Words that no video has, or very
few, cost two rounds more, however many they are: for what may have been meant by them, and for the postings of that. A question costs two
more for the words of its first results. docs/search-and-suggestions.md has the formulas.
"""

import asyncio
from collections.abc import Iterable, Sequence
from itertools import pairwise

from grpc_discovery import InvalidArgument
from language.compounds import joined
from language.text import stem, terms
from services.search import feedback
from services.search.guesses import Terms, can_be_completed, guesses, split
from services.search.plan import MAX_ROWS_WHEN_MEANT, MILLION, Plan, rows_of_a_word
from services.search.query_text import Query, QueryWord, SignWord, parse
from services.search.ranking import PlannedQuery
from services.search.repository import Posting, SearchRepository
from services.search.results import results
from services.search.statistics import Statistics, statistics_sample
from services.search.weights import PostingLists, Weights, video_ids

VERY_FEW = 2
"""A word that no more videos have may be a mistake, or the beginning of another. In a question only one that none has: its other words tell what
is meant."""

FEW_RESULTS, MAX_UNFINISHED = 3, 20
"""While fewer videos have all words of a query, its last word may be unfinished, if no more than the second number have it."""

MAX_SPLIT_VIDEOS = 50
"""A word that more videos have is not looked up split as well, and in a question only one that none has."""

MAX_JOINED, MAX_GUESSES, MAX_GUESSES_IN_ALL = 8, 24, 40


class QueryPlanner:
    """Turns queries into plans, and reads the postings for them."""

    def __init__(self, repository: SearchRepository) -> None:
        self._repository = repository
        self._statistics = statistics_sample(repository)

    async def plan(self, text: str) -> PlannedQuery:
        """The plan of a query that is asked for the first time, with the postings that were read to make it."""
        query = parse(text)
        neighbours = _joined_neighbours(query)
        rows = rows_of_a_word(len(query.words) + len(query.signs))
        of_words = [word.term for word in query.words]
        postings = await self._read(
            [*of_words, *neighbours, *_terms_of_signs(query.signs), *query.excluded_terms], rows
        )
        statistics = await self._statistics.latest()
        meant = await self._meant(query, postings, statistics)
        if meant:
            # Many lists may have to be read now, so fewer rows of each. Of the lists read already no more rows count, because the next page
            # reads so many.
            rows = min(rows, MAX_ROWS_WHEN_MEANT)
            postings = {term: found[:rows] for term, found in postings.items()}
            unread = dict.fromkeys(term for found in meant.values() for guess in found for term in guess)
            postings |= await self._read([term for term in unread if term not in postings][:MAX_GUESSES_IN_ALL], rows)
        weights = Weights(postings, statistics, rows)
        groups = [weights.group(word, neighbours, meant.get(word.term, [])) for word in query.words]
        groups += [weights.group_of_signs(sign) for sign in query.signs]
        planned = PlannedQuery(query, Plan(tuple(groups), rows, statistics.average, ()), postings)
        return await self._with_feedback(planned, statistics) if len(query.words) >= feedback.MIN_WORDS else planned

    async def resume(self, text: str, plan: Plan) -> PlannedQuery:
        """A query whose plan came with a page token. Raises InvalidArgument for a plan that has not a group for each word of the query."""
        query = parse(text)
        if len(plan.groups) != len(query.words) + len(query.signs):
            raise InvalidArgument({"paging_state": "is not one that this list gave out"})
        postings, more = await asyncio.gather(
            self._read([*plan.terms, *query.excluded_terms], plan.rows),
            self._read([term for term, _ in plan.feedback], feedback.ROWS),
        )
        return PlannedQuery(query, plan, {**postings, **more})

    async def _with_feedback(self, planned: PlannedQuery, statistics: Statistics) -> PlannedQuery:
        """The same query, asked with the words that its first results share."""
        query, plan, postings = planned
        first = await results(self._repository, planned, feedback.FIRST_RESULTS, None)
        if not first:
            return planned
        scored = [(result.row, result.key.score / MILLION) for result in first]
        shared = await feedback.shared_terms(scored, set(plan.terms), Weights(postings, statistics, plan.rows))
        more = await self._read([term for term, _ in shared], feedback.ROWS)
        of_question = sum(max(alternative.weight for alternative in group) for group in plan.groups)
        terms_with_weights = feedback.weighted(shared, Weights(more, statistics, feedback.ROWS), of_question)
        return PlannedQuery(query, plan._replace(feedback=terms_with_weights), {**postings, **more})

    async def _read(self, of_terms: Iterable[str], rows: int) -> dict[str, list[Posting]]:
        wanted = list(dict.fromkeys(of_terms))
        return dict(zip(wanted, await self._repository.postings(wanted, rows), strict=True))

    async def _meant(self, query: Query, postings: PostingLists, statistics: Statistics) -> dict[str, list[Terms]]:
        """By term, what may be meant by the words that no video has or very few, and by one that may be unfinished."""
        last = terms(query.unfinished)
        may_follow = last[0] if len(last) == 1 and can_be_completed(query.unfinished) else ""
        has_results = may_follow and _with_all_words(query.words, postings) >= FEW_RESULTS
        very_few, max_split_videos = (0, 0) if len(query.words) >= feedback.MIN_WORDS else (VERY_FEW, MAX_SPLIT_VIDEOS)
        found: dict[str, list[Terms]] = {}
        lookups: list[QueryWord] = []
        for word in query.words:
            count = len(postings[word.term])
            is_unfinished = word.term == may_follow and not has_results and count <= MAX_UNFINISHED
            if not word.quoted and count <= max_split_videos:
                found[word.term] = _known_parts(word.word, statistics)
            if not word.quoted and (count <= very_few or is_unfinished):
                lookups.append(word)
        looked_up = await asyncio.gather(
            *(
                guesses(
                    self._repository,
                    word.word,
                    query.unfinished if word.term == may_follow else word.word,
                    alone=len(query.words) + len(query.signs) == 1,
                )
                for word in lookups
            )
        )
        for word, guessed in zip(lookups, looked_up, strict=True):
            known = found.setdefault(word.term, [])
            known += [guess for guess in guessed if guess not in known]
        return {term: guessed[:MAX_GUESSES] for term, guessed in found.items() if guessed}


def _joined_neighbours(query: Query) -> dict[str, tuple[str, ...]]:
    """The terms of neighbours written as one word, each with the terms of the two."""
    found: dict[str, tuple[str, ...]] = {}
    for run in query.neighbours:
        for pair in pairwise(run):
            for term in joined(pair):
                found.setdefault(term, tuple(map(stem, pair)))
    return dict(list(found.items())[:MAX_JOINED])


def _terms_of_signs(signs: Sequence[SignWord]) -> list[str]:
    return [term for sign in signs for term in (sign.term, *map(stem, sign.parts), *joined(sign.parts))]


def _known_parts(word: str, statistics: Statistics) -> list[Terms]:
    """The ways to split a word in two that videos of the sample have."""
    return [pair for pair in split(word) if all(statistics.with_word[term] for term in pair)]


def _with_all_words(asked: Sequence[QueryWord], postings: PostingLists) -> int:
    """How many videos have all of the words, as far as was read."""
    return len(set.intersection(*(video_ids(postings[word.term]) for word in asked))) if asked else 0
