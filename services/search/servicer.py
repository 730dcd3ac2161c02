"""The calls of SearchService."""

from typing import Any, cast
from uuid import UUID

from common.ids import uuid_message
from common.paging import PageTokens, split_page
from common.requests import RequestReader
from common.timestamps import timestamp_message
from protos import search_pb2 as messages
from protos.search_pb2_grpc import SearchServiceServicer
from services.explanation import explain, explanation_wanted
from services.search.finding import Finder, Found, Place
from services.search.ranking import Plan
from services.search.repository import SearchRepository
from services.search.suggesting import Suggester

MAX_QUERY_CHARACTERS = 500


class SearchServicer(SearchServiceServicer):
    """Finding videos by words, and suggesting words while one types."""

    def __init__(self, repository: SearchRepository, paging_key: str) -> None:
        self._finder = Finder(repository)
        self._suggester = Suggester(repository)
        self._page_tokens = PageTokens(paging_key, "SearchVideos")

    async def SearchVideos(self, request: messages.SearchVideosRequest, context: Any) -> messages.SearchVideosResponse:
        """A page of the videos that match a query, best first."""
        reader = RequestReader(request)
        query, size = reader.text("query", MAX_QUERY_CHARACTERS), reader.page_size()
        plan, after = _place(reader.cursor(self._page_tokens, query))
        reader.raise_if_invalid()
        found, plan = await self._finder.find(query, size + 1, plan, after)
        page, last = split_page(found, size)
        if explanation_wanted(context):
            explain(context, [_reason(each) for each in page])
        return messages.SearchVideosResponse(
            query=query,
            videos=[_preview(each) for each in page],
            paging_state=self._page_tokens.write(query, (*last.place, plan.written())) if last else "",
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


def _place(position: Any) -> tuple[Plan | None, Place | None]:
    """The plan that a token carries, and the place behind which the list goes on."""
    if position is None:
        return None, None
    tier, score, video_id, plan = cast(tuple[int, int, UUID, str], position)
    return Plan.read(plan), Place(tier, score, video_id)


def _preview(found: Found) -> messages.SearchResultsVideoPreview:
    row = found.row
    return messages.SearchResultsVideoPreview(
        video_id=uuid_message(row.video_id),
        added_date=timestamp_message(row.added_date),
        name=row.name or "",
        preview_image_location=row.preview_image_location or "",
        user_id=uuid_message(row.user_id),
    )


def _reason(found: Found) -> dict[str, Any]:
    """Why a video is where it is: its score, and what each word that matched adds to it."""
    words = [{"word": word, "weight": worth / 1_000_000} for word, worth in found.matches]
    return {"video_id": str(found.row.video_id), "score": found.place.score / 1_000_000, "words": words}
