"""The services of a history with faults planted in them, for the test that the judge finds them: `python -m tests.chaos.faulty_services`."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from common.catalogue import SERVICES
from common.service import run
from services.__main__ import load_service
from services.ratings.repository import NewRating, RatingsRepository, StandingRow, Totals
from services.user_management.accounts import Accounts, NewUser
from services.video_catalog.repository import VideoCatalogRepository
from services.video_catalog.video import Video

_EVERY = 5


class TwiceCounted(RatingsRepository):
    """Counts each fifth rating twice."""

    writes = 0

    async def write_if_unchanged(
        self,
        video_id: UUID,
        standing: StandingRow | None,
        totals: Totals,
        ratings: Mapping[UUID, NewRating],
    ) -> bool:
        TwiceCounted.writes += 1
        if TwiceCounted.writes % _EVERY == 0:
            totals = Totals(totals.number + 1, totals.total + max(new.rating for new in ratings.values()))
        return await super().write_if_unchanged(video_id, standing, totals, ratings)


class Stale(VideoCatalogRepository):
    """Shows a video as it was when it was first read."""

    seen: dict[UUID, Video | None]

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.seen = {}

    async def video(self, video_id: UUID) -> Video | None:
        if self.seen.get(video_id) is None:
            self.seen[video_id] = await super().video(video_id)
        return self.seen[video_id]


class Forgetful(Accounts):
    """Acknowledges each fifth user without creating it."""

    created = 0

    async def create(self, user: NewUser) -> bool:
        Forgetful.created += 1
        return True if Forgetful.created % _EVERY == 0 else await super().create(user)


def main() -> None:
    """Serve ratings, user_management and video_catalog with a fault in each."""
    import services.ratings.service as ratings
    import services.user_management.service as users
    import services.video_catalog.service as catalog

    for module, name, faulty in (
        (ratings, "RatingsRepository", TwiceCounted),
        (users, "Accounts", Forgetful),
        (catalog, "VideoCatalogRepository", Stale),
    ):
        assert hasattr(module, name), f"{module.__name__} is no longer put together with {name}"
        setattr(module, name, faulty)
    names = ("RatingsService", "UserManagementService", "VideoCatalogService")
    run(*(load_service(SERVICES[name]) for name in names))


if __name__ == "__main__":
    main()
