"""The comments service: what it needs and how it is put together."""

from common.catalogue import SERVICES
from common.service import Service
from services.comments.repository import STATEMENTS, CommentsRepository
from services.comments.servicer import CommentsServicer

SERVICE = Service(
    SERVICES["CommentsService"],
    statements=STATEMENTS,
    build=lambda database, settings: CommentsServicer(CommentsRepository(database), settings.paging_key),
)
