"""The video catalogue: its names, its port and its parts."""

from common.service import Service
from protos.video_catalog_pb2_grpc import add_VideoCatalogServiceServicer_to_server
from services.video_catalog.repository import STATEMENTS, VideoCatalogRepository
from services.video_catalog.servicer import VideoCatalogServicer
from services.video_catalog.submissions import Submissions

SERVICE = Service(
    name="VideoCatalogService",
    slug="video_catalog",
    full_name="killrvideo.video_catalog.VideoCatalogService",
    port=8701,
    statements=STATEMENTS,
    build=lambda database, settings: VideoCatalogServicer(
        Submissions(VideoCatalogRepository(database)), settings.paging_key, settings.latest_days
    ),
    register=add_VideoCatalogServiceServicer_to_server,
)
