"""The search service: what it needs and how it is put together."""

from common.catalogue import SERVICES
from common.service import Service
from services.search.repository import STATEMENTS, SearchRepository
from services.search.servicer import SearchServicer

SERVICE = Service(
    SERVICES["SearchService"],
    statements=STATEMENTS,
    build=lambda database, settings: SearchServicer(SearchRepository(database), settings.paging_key),
)
