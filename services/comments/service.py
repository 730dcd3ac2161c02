"""The comments service: its names, its port and its parts."""

from common.service import Service
from protos.comments_pb2_grpc import add_CommentsServiceServicer_to_server
from services.comments.repository import STATEMENTS, CommentsRepository
from services.comments.servicer import CommentsServicer

SERVICE = Service(
    name="CommentsService",
    slug="comments",
    full_name="killrvideo.comments.CommentsService",
    port=8101,
    statements=STATEMENTS,
    build=lambda database, settings: CommentsServicer(CommentsRepository(database), settings.paging_key),
    register=add_CommentsServiceServicer_to_server,
)
