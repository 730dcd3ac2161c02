"""The suggested-videos service: its names, its port and its parts."""

from common.service import Service
from protos.suggested_videos_pb2_grpc import add_SuggestedVideoServiceServicer_to_server
from services.suggested_videos.list_repository import ListRepository
from services.suggested_videos.recommender import Recommender
from services.suggested_videos.repository import STATEMENTS, SuggestedVideosRepository
from services.suggested_videos.servicer import SuggestedVideosServicer

SERVICE = Service(
    name="SuggestedVideoService",
    slug="suggested_videos",
    full_name="killrvideo.suggested_videos.SuggestedVideoService",
    port=8501,
    statements=STATEMENTS,
    build=lambda database, settings: SuggestedVideosServicer(
        Recommender(SuggestedVideosRepository(database), ListRepository(database)), settings.paging_key
    ),
    register=add_SuggestedVideoServiceServicer_to_server,
)
