"""Building rows: the NamedTuple that a Select names, from what a driver read."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import islice
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from common.database.interface import Row, Select
from common.time_slices import checkpoint

_ROWS_AT_ONCE = 64

Convert = Callable[[Any], Any]


def row_maker(statement: Select[Row], conversions: Mapping[Any, Convert]) -> Callable[[Iterable[Any]], Row]:
    """A function that builds a row of `statement`; values of columns declared as a type in `conversions` pass through the conversion.

    A field declared as `set[UUID] | None` is looked for as `set[UUID]`, then as `set`. Nulls are never converted.
    """
    declared = list(get_type_hints(statement.row).values())
    converted_columns = [
        (index, convert) for index, hint in enumerate(declared) if (convert := _conversion(hint, conversions))
    ]
    # NamedTuple's own _make does the same in Python and costs a third more; this is called for every row that is read.
    new = partial(tuple.__new__, statement.row)
    if not converted_columns:
        return new

    def make(values: Iterable[Any]) -> Row:
        converted = list(values)
        for index, convert in converted_columns:
            if converted[index] is not None:
                converted[index] = convert(converted[index])
        return new(converted)

    return make


async def made_in_slices(make: Callable[[Any], Row], read: Iterable[Any]) -> list[Row]:
    """A row of each that was read. Of many some are made at a time, and other calls go on in between."""
    rows: list[Row] = []
    left = iter(read)
    while True:
        made = list(map(make, islice(left, _ROWS_AT_ONCE)))
        rows += made
        if len(made) < _ROWS_AT_ONCE:
            return rows
        await checkpoint()


def _conversion(hint: Any, conversions: Mapping[Any, Convert]) -> Convert | None:
    """The conversion for a declared type, if there is one."""
    options = get_args(hint) if NoneType in get_args(hint) else (hint,)
    for option in options:
        found = conversions.get(option) or conversions.get(get_origin(option))
        if found:
            return found
    return None
