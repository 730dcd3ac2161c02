"""Making the list of a video: what those who like it like too, blended with videos of like content."""

import asyncio
from uuid import UUID

from services.suggested_videos import ranking
from services.suggested_videos.candidates import MAX_CANDIDATES, contents_of, described, of_like_content
from services.suggested_videos.histories import Histories
from services.suggested_videos.ranked_list import FromRatings, RankedList, blended
from services.suggested_videos.ranking import content_of
from services.suggested_videos.repository import DescribedRow, SuggestedVideosRepository

_RATINGS_READ = 250
_HALF_WEIGHT_LIKERS = 5.0  # with so many likers, ratings weigh as much as content


async def related_list(
    repository: SuggestedVideosRepository, histories: Histories, video: DescribedRow, ratings: int
) -> RankedList:
    """The videos like `video`, which has so many ratings. Where nobody likes it, content alone counts."""
    about = content_of(video.user_id, video.name, video.tags, video.description)
    rows, alike = await asyncio.gather(
        repository.ratings_of([video.video_id], _RATINGS_READ), of_like_content(repository, about, {video.video_id})
    )
    likers = [row.user_id for row in rows if row.user_id and (row.rating or 0) >= ranking.LIKED]
    together = await ranking.liked_together(video.video_id.int, await histories.of(likers))
    closest = await ranking.highest(list(together), list(together.values()), MAX_CANDIDATES)
    neighbours = {UUID(int=number): shared for number, shared in closest.items()}
    totals, rows_by_id = await asyncio.gather(repository.totals(neighbours), repository.contents({*neighbours, *alike}))
    scores = {
        video_id: ranking.closeness(
            shared, ranking.estimated_likes(totals[video_id].ratings or 0, totals[video_id].total or 0)
        )
        for video_id, shared in neighbours.items()
        # The histories may be from before the ratings were emptied: a video that nobody rates any more does not count.
        if video_id in totals and video_id in rows_by_id
    }
    contents = await contents_of(rows_by_id)
    contents |= await described(repository, about, contents, scores)
    weight = len(likers) / (len(likers) + _HALF_WEIGHT_LIKERS)
    made = await blended(FromRatings(ranking.scaled(scores), weight, {}), about, contents)
    return made._replace(sources=[video.video_id], source_ratings=ratings)
