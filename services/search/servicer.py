"""The calls of SearchService."""

from typing import Any

from common.ids import uuid_message
from common.paging import PageTokens, Parts, identifier, integer, split_page, text
from common.requests import RequestReader
from common.timestamps import timestamp_message
from protos import search_pb2 as messages
from protos.search_pb2_grpc import SearchServiceServicer
from services.explanation import explain, explanation_wanted
from services.search.plan import MILLION, Plan
from services.search.query import QueryPlanner
from services.search.ranking import ALL_IN_NAME, MAX_SCORE, ResultKey
from services.search.repository import SearchRepository
from services.search.results import SearchResult, results
from services.search.suggestions import Suggester

MAX_QUERY_CHARACTERS = 500


class SearchServicer(SearchServiceServicer):
    """Finding videos by words, and suggesting words while one types."""

    def __init__(self, repository: SearchRepository, paging_key: str) -> None:
        self._repository = repository
        self._planner = QueryPlanner(repository)
        self._suggester = Suggester(repository)
        self._page_tokens = PageTokens(paging_key, "SearchVideos", _plan_and_key)

    async def SearchVideos(self, request: messages.SearchVideosRequest, context: Any) -> messages.SearchVideosResponse:
        """A page of the videos that match a query, best first."""
        reader = RequestReader(request)
        query, size = reader.text("query", MAX_QUERY_CHARACTERS), reader.page_size()
        plan, after = reader.cursor(self._page_tokens, query) or (None, None)
        reader.raise_if_invalid()
        planned = await self._planner.resume(query, plan) if plan else await self._planner.plan(query)
        page, last = split_page(await results(self._repository, planned, size + 1, after), size)
        if explanation_wanted(context):
            explain(context, map(_reason, page))
        return messages.SearchVideosResponse(
            query=query,
            videos=[_preview(result) for result in page],
            paging_state=self._page_tokens.write(query, (*last.key, planned.plan.to_text())) if last else "",
        )

    async def GetQuerySuggestions(
        self, request: messages.GetQuerySuggestionsRequest, context: Any
    ) -> messages.GetQuerySuggestionsResponse:
        """Words and tags that begin with a text."""
        reader = RequestReader(request)
        size = reader.page_size()
        reader.raise_if_invalid()
        suggestions = await self._suggester.suggest(request.query, size)
        return messages.GetQuerySuggestionsResponse(query=request.query, suggestions=suggestions)


def _plan_and_key(parts: Parts) -> tuple[Plan, ResultKey]:
    """What a token holds: the plan of the list, and the key behind which it goes on."""
    repeats, tier, score, video_id, plan = parts
    return Plan.from_text(text(plan)), ResultKey(
        integer(repeats, 0, 1), integer(tier, 0, ALL_IN_NAME), integer(score, 0, MAX_SCORE), identifier(video_id)
    )


def _preview(result: SearchResult) -> messages.SearchResultsVideoPreview:
    row = result.row
    return messages.SearchResultsVideoPreview(
        video_id=uuid_message(row.video_id),
        added_date=timestamp_message(row.added_date),
        name=row.name or "",
        preview_image_location=row.preview_image_location or "",
        user_id=uuid_message(row.user_id),
    )


def _reason(result: SearchResult) -> dict[str, Any]:
    """Why a video stands where it does: its score, and what each matching word adds to it."""
    words = [{"word": " ".join(match.terms), "weight": match.score / MILLION} for match in result.matches]
    return {"video_id": str(result.row.video_id), "score": result.key.score / MILLION, "words": words}
