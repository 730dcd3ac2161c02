"""The statistics service: its names, its port and its parts."""

from common.service import Service
from protos.statistics_pb2_grpc import add_StatisticsServiceServicer_to_server
from services.statistics.repository import STATEMENTS, StatisticsRepository
from services.statistics.servicer import StatisticsServicer

SERVICE = Service(
    name="StatisticsService",
    slug="statistics",
    full_name="killrvideo.statistics.StatisticsService",
    port=8401,
    statements=STATEMENTS,
    build=lambda database, settings: StatisticsServicer(StatisticsRepository(database)),
    register=add_StatisticsServiceServicer_to_server,
)
