"""The statistics service: what it needs and how it is put together."""

from common.catalogue import SERVICES
from common.service import Service
from services.statistics.repository import STATEMENTS, StatisticsRepository
from services.statistics.servicer import StatisticsServicer

SERVICE = Service(
    SERVICES["StatisticsService"],
    statements=STATEMENTS,
    build=lambda database, settings: StatisticsServicer(StatisticsRepository(database)),
)
