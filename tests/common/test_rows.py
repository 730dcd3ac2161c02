"""Rows are built without NamedTuple's own constructor, which costs a third more: they must be the same rows."""

from typing import NamedTuple
from uuid import UUID

from common.database import Select
from common.database.rows import row_maker


class Rated(NamedTuple):
    """A row with a column that is converted, and one that is not."""

    video_id: UUID
    tags: set[str] | None
    rating: int | None


SELECT = Select("SELECT videoid, tags, rating FROM anything", Rated)


def test_a_row_is_the_named_tuple_that_the_select_names() -> None:
    row = row_maker(SELECT, {})((UUID(int=1), None, 5))
    assert row == Rated(UUID(int=1), None, 5)
    assert type(row) is Rated
    assert row.rating == 5


def test_columns_are_converted_by_their_declared_types_and_nulls_never() -> None:
    make = row_maker(SELECT, {UUID: UUID, set: frozenset})
    text = "00000000-0000-0000-0000-000000000001"
    whole, bare = make((text, ["a"], 5)), make((text, None, None))
    assert (whole.video_id, whole.tags, whole.rating) == (UUID(text), {"a"}, 5)
    assert isinstance(whole.tags, frozenset)
    assert (bare.video_id, bare.tags, bare.rating) == (UUID(text), None, None)
