"""The suggested-videos service: what it needs and how it is put together."""

from common.catalogue import SERVICES
from common.service import Service
from services.suggested_videos.list_repository import ListRepository
from services.suggested_videos.recommender import Recommender
from services.suggested_videos.repository import STATEMENTS, SuggestedVideosRepository
from services.suggested_videos.servicer import SuggestedVideosServicer

SERVICE = Service(
    SERVICES["SuggestedVideoService"],
    statements=STATEMENTS,
    build=lambda database, settings: SuggestedVideosServicer(
        Recommender(SuggestedVideosRepository(database), ListRepository(database)), settings.paging_key
    ),
)
