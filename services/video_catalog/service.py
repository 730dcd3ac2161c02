"""The video catalogue: what it needs and how it is put together."""

from common.catalogue import SERVICES
from common.service import Service
from services.video_catalog.repository import STATEMENTS, VideoCatalogRepository
from services.video_catalog.servicer import VideoCatalogServicer
from services.video_catalog.submissions import Submissions

SERVICE = Service(
    SERVICES["VideoCatalogService"],
    statements=STATEMENTS,
    build=lambda database, settings: VideoCatalogServicer(
        Submissions(VideoCatalogRepository(database)), settings.paging_key, settings.latest_days
    ),
    background=lambda servicer: servicer.submissions.sweep.run(),
)
