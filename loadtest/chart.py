"""One chart of the report: lines over time as an SVG picture, with a dashed line for each step of the workload."""

import html
import math
from collections.abc import Iterator, Sequence
from itertools import groupby

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 900, 170, 60, 34, 28
_COLOURS = ("#1b6ca8", "#2a9d8f", "#e9a23b", "#c8553d", "#7a5195", "#4d4d4d", "#84a98c", "#d4a5a5")
_TIME_TICKS = 5
_SMALLEST = 0.1
"""The lowest value of a logarithmic scale."""

Series = dict[str, list[float]]
"""By name: one value for each second."""


def chart(
    seconds: Sequence[float], series: Series, steps: Sequence[tuple[float, str]], logarithmic: bool = False
) -> str:
    """The picture as an <svg> element, or a sentence where there is nothing to show.

    `seconds` are the times of the values, `steps` the times and texts of the workload's steps, all in seconds after the start.
    """
    if not seconds or not series:
        return '<p class="note">nothing to show</p>'
    highest = max((value for values in series.values() for value in values), default=0) or 1.0
    axes = _Axes(max(seconds[-1], 1.0), highest, logarithmic)
    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + 40}" width="100%" role="img">']
    parts += _value_ticks(axes)
    parts += _step_lines(axes, steps)
    for number, (name, values) in enumerate(series.items()):
        parts += _line(axes, number, name, seconds, values)
    parts += _time_ticks(axes)
    return "".join(parts) + "</svg>"


class _Axes:
    """Where a time and a value lie in the picture. The time runs from 0 to `last` seconds, the value from 0 (or 0.1) to `highest`."""

    def __init__(self, last: float, highest: float, logarithmic: bool) -> None:
        self.last, self.logarithmic = last, logarithmic
        tick = _tick_distance(highest)
        self.highest = highest if logarithmic else math.ceil(highest / tick) * tick
        self.ticks = (
            [10.0**power for power in range(-1, 6) if 10.0**power <= highest]
            if logarithmic
            else [tick * number for number in range(round(self.highest / tick) + 1)]
        )

    def x(self, second: float) -> float:
        return _LEFT + second / self.last * (_WIDTH - _LEFT - 10)

    def y(self, value: float) -> float:
        return (_HEIGHT - _BOTTOM) * (1 - self._share(value)) + _TOP

    def _share(self, value: float) -> float:
        if self.logarithmic:
            return math.log10(max(value, _SMALLEST) / _SMALLEST) / math.log10(max(self.highest, 1) / _SMALLEST)
        return value / self.highest


def _value_ticks(axes: _Axes) -> Iterator[str]:
    for tick in axes.ticks:
        y = axes.y(tick)
        yield (
            f'<line x1="{_LEFT}" x2="{_WIDTH - 10}" y1="{y:.1f}" y2="{y:.1f}" stroke="#eee"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:,.4g}</text>'
        )


def _time_ticks(axes: _Axes) -> Iterator[str]:
    for number in range(_TIME_TICKS + 1):
        second = axes.last * number / _TIME_TICKS
        yield f'<text x="{axes.x(second):.1f}" y="{_HEIGHT + 6}" text-anchor="middle">{second:.0f} s</text>'


def _step_lines(axes: _Axes, steps: Sequence[tuple[float, str]]) -> Iterator[str]:
    for number, (second, step) in enumerate(steps):
        x = f"{axes.x(second):.1f}"
        text_y = 11 + 12 * (number % 2)  # the texts of two neighbours stand one above the other
        anchor, distance = ("end", -3) if second > axes.last * 0.9 else ("start", 3)
        yield (
            f'<line x1="{x}" x2="{x}" y1="{text_y - 8}" y2="{_HEIGHT - _BOTTOM + _TOP}" stroke="#999" stroke-dasharray="3 3"/>'
            f'<text x="{x}" y="{text_y}" dx="{distance}" text-anchor="{anchor}">{html.escape(step)}</text>'
        )


def _line(axes: _Axes, number: int, name: str, seconds: Sequence[float], values: Sequence[float]) -> Iterator[str]:
    """One series, with its name in the legend."""
    colour = _COLOURS[number % len(_COLOURS)]
    # A logarithm has no place for 0: where no call ended there is no latency, and the line has a gap.
    runs = groupby(zip(seconds, values, strict=True), key=lambda point: point[1] > 0 or not axes.logarithmic)
    for points in (run for is_drawn, run in runs if is_drawn):
        path = " ".join(f"{axes.x(second):.1f},{axes.y(value):.1f}" for second, value in points)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
    x = _LEFT + number * 120
    yield f'<rect x="{x}" y="{_HEIGHT + 18}" width="10" height="10" fill="{colour}"/>'
    yield f'<text x="{x + 14}" y="{_HEIGHT + 27}">{html.escape(name)}</text>'


def _tick_distance(highest: float) -> float:
    """The distance of the lines of a chart: 1, 2 or 5 times a power of ten, so that there are about four."""
    power = 10.0 ** math.floor(math.log10(highest / 4))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= highest / 4)
