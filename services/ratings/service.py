"""The ratings service: its names, its port and its parts."""

from common.service import Service
from protos.ratings_pb2_grpc import add_RatingsServiceServicer_to_server
from services.ratings.repository import STATEMENTS, RatingsRepository
from services.ratings.servicer import RatingsServicer
from services.ratings.tally import Tally

SERVICE = Service(
    name="RatingsService",
    slug="ratings",
    full_name="killrvideo.ratings.RatingsService",
    port=8201,
    statements=STATEMENTS,
    build=lambda database, settings: RatingsServicer(Tally(RatingsRepository(database))),
    register=add_RatingsServiceServicer_to_server,
)
