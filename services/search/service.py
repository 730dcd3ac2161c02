"""The search service: its names, its port and its parts."""

from common.service import Service
from protos.search_pb2_grpc import add_SearchServiceServicer_to_server
from services.search.repository import STATEMENTS, SearchRepository
from services.search.servicer import SearchServicer

SERVICE = Service(
    name="SearchService",
    slug="search",
    full_name="killrvideo.search.SearchService",
    port=8301,
    statements=STATEMENTS,
    build=lambda database, settings: SearchServicer(SearchRepository(database), settings.paging_key),
    register=add_SearchServiceServicer_to_server,
)
