"""How instances are shown on a terminal: as a table where it fits, else one below the other. Nothing is cut off.

Names and addresses come from the registry, where anybody may have written them: neither escape codes nor markup in them takes effect.
"""

from rich.cells import cell_len
from rich.text import Text

from grpc_discovery.addresses import printable
from grpc_discovery.cli.instances import Row

_HEAD = Row("service", "instance", "address", "health", "since")
_COLOURS = {"serving": "green", "none": "dim", "no gRPC": "yellow", "tells no health": "yellow", "health": "bold"}
_GAP = 2


def render(rows: list[Row], width: int) -> list[Text]:
    """The lines to show at so many columns; one may still be longer, where an address is."""
    shown = [Row(*map(printable, row)) for row in rows]
    # An instance is named by its address unless it says otherwise: shown once.
    shown = [row._replace(instance="") if row.instance == row.address else row for row in shown]
    widths = [max(cell_len(row[column]) for row in shown) if shown else 0 for column in range(len(_HEAD))]
    widths = [max(cell_len(title), wide) if wide else 0 for title, wide in zip(_HEAD, widths, strict=True)]
    if sum(wide + _GAP for wide in widths if wide) - _GAP > width:
        return _stacked(shown, width)
    return [_line(row, widths) for row in (_HEAD, *shown)]


def _line(row: Row, widths: list[int]) -> Text:
    line = Text(style="bold" if row is _HEAD else "")
    for text, wide in zip(row, widths, strict=True):
        if wide:
            line.append(text, _colour(row) if text is row.health else "")
            line.append(" " * (wide - cell_len(text) + _GAP))
    line.rstrip()
    return line


def _stacked(rows: list[Row], width: int) -> list[Text]:
    """The service, below it its instances, below each its health."""
    lines: list[Text] = []
    for number, row in enumerate(rows):
        if not number or row.service != rows[number - 1].service:
            lines.append(Text(row.service, "bold"))
        names = [name for name in (row.instance, row.address) if name]
        together = "  " + " at ".join(names)
        lines += map(Text, [together] if cell_len(together) <= width else [f"  {name}" for name in names])
        lines.append(Text("    ").append(row.health, _colour(row)).append(row.since and f" since {row.since}"))
    return [line for line in lines if line.plain.strip()]


def _colour(row: Row) -> str:
    return _COLOURS.get(row.health, "red")
