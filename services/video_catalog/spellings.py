"""Which words typing mistakes may be corrected to: written after a submit is answered, each word once in a while."""

from collections.abc import Iterable
from itertools import islice

from language.word_index import Analysis
from services.video_catalog.index_plan import spelling_steps
from services.video_catalog.recently_written import RecentlyWritten
from services.video_catalog.repository import VideoCatalogRepository

MAX_NEW_SPELLINGS = 400
"""Words of one submit that are written, those of name and tags first; the next submit that has them writes the others. A word takes as many
rows as it has letters, so the two thousand words of the longest description would cost more than all else that a submit writes."""


class Spellings:
    """Writes the spellings of words, unless this process has done so lately."""

    def __init__(self, repository: VideoCatalogRepository) -> None:
        self._repository = repository
        self._written = RecentlyWritten("spellings")

    def missing(self, found: Analysis) -> list[str]:
        """The words of a submit whose spellings are to be written: those that were not written lately, within MAX_NEW_SPELLINGS."""
        new = (
            word for words in (found.shown_spellings, found.other_spellings) for word in self._written.without(words)
        )
        return list(islice(new, MAX_NEW_SPELLINGS))

    async def write(self, words: Iterable[str]) -> None:
        """Write all of the words that were not written lately. Raises what `Database.batch_unlogged` raises."""
        new = self._written.without(set(words))
        await self._repository.write_apart(spelling_steps(new), at_once=1)
        self._written.add(new)
