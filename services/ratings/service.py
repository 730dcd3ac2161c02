"""The ratings service: what it needs and how it is put together."""

from common.catalogue import SERVICES
from common.service import Service
from services.ratings.repository import STATEMENTS, RatingsRepository
from services.ratings.servicer import RatingsServicer
from services.ratings.tally import Tally

SERVICE = Service(
    SERVICES["RatingsService"],
    statements=STATEMENTS,
    build=lambda database, settings: RatingsServicer(Tally(RatingsRepository(database))),
)
