"""Making the list of a video: what those who like it like too, blended with videos of like content."""

import asyncio
from uuid import UUID

from services.suggested_videos import ranking
from services.suggested_videos.candidates import FULL, MAX_CANDIDATES, QUICK, Contents, described, of_like_content
from services.suggested_videos.content import content_of
from services.suggested_videos.histories import Histories
from services.suggested_videos.ranked_list import NO_RATINGS, FromRatings, RankedList, blended, same_talks_last
from services.suggested_videos.rarity import Rarities
from services.suggested_videos.repository import SuggestedVideosRepository
from services.suggested_videos.rows import DescribedRow

_RATINGS_READ = 250
_HALF_WEIGHT_LIKERS = 7.0
"""With so many likers, ratings weigh as much as content; with fewer, what they share is mostly chance."""


class RelatedLists:
    """Makes the lists of videos."""

    def __init__(self, repository: SuggestedVideosRepository, histories: Histories, contents: Contents) -> None:
        self._repository, self._histories, self._contents = repository, histories, contents

    async def full(self, video: DescribedRow, ratings: int, rarities: Rarities) -> RankedList:
        """The videos like `video`, which has so many ratings. Where nobody likes it, content alone counts."""
        about = content_of(video.user_id, video.name, video.tags, video.description)
        rows, alike = await asyncio.gather(
            self._repository.ratings_of([video.video_id], _RATINGS_READ),
            of_like_content(self._repository, rarities, about, {video.video_id}, FULL),
        )
        likers = [row.user_id for row in rows if row.user_id and (row.rating or 0) >= ranking.LIKED]
        together = await ranking.liked_together(video.video_id.int, await self._histories.of(likers, _RATINGS_READ))
        closest = await ranking.highest(list(together), list(together.values()), MAX_CANDIDATES)
        neighbours = {UUID(int=number): shared for number, shared in closest.items()}
        totals, rows_by_id = await asyncio.gather(
            self._repository.totals(neighbours), self._repository.contents({*neighbours, *alike.video_ids})
        )
        scores = {
            video_id: ranking.closeness(
                shared, ranking.estimated_likes(totals[video_id].ratings or 0, totals[video_id].total or 0)
            )
            for video_id, shared in neighbours.items()
            # The histories may be from before the ratings were emptied: a video that nobody rates any more does not count.
            if video_id in totals and video_id in rows_by_id
        }
        contents = await self._contents.of(rows_by_id)
        contents |= await described(self._repository, alike.comparison, contents, scores)
        weight = len(likers) / (len(likers) + _HALF_WEIGHT_LIKERS)
        made = await blended(FromRatings(ranking.scaled(scores), weight, {}), alike.comparison, contents)
        video_ids = await same_talks_last(made.video_ids, rows_by_id)
        return made._replace(video_ids=video_ids, sources=[video.video_id], source_ratings=ratings)

    async def quick(self, video: DescribedRow, ratings: int, rarities: Rarities) -> RankedList:
        """A list by content alone, a fraction of the work."""
        about = content_of(video.user_id, video.name, video.tags, video.description)
        alike = await of_like_content(self._repository, rarities, about, {video.video_id}, QUICK)
        rows = await self._repository.contents(alike.video_ids)
        contents = await self._contents.of(rows)
        contents |= await described(self._repository, alike.comparison, contents, ())
        made = await blended(NO_RATINGS, alike.comparison, contents)
        video_ids = await same_talks_last(made.video_ids, rows)
        return made._replace(video_ids=video_ids, sources=[video.video_id], source_ratings=ratings)
