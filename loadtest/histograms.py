"""Latencies as HDR histograms: their range and precision, their form as text, and their percentiles."""

from hdrh.histogram import HdrHistogram

_MAX_MICROSECONDS = 60_000_000


def new_histogram() -> HdrHistogram:
    """Latencies in microseconds, from 1 us to 60 s, to three digits."""
    return HdrHistogram(1, _MAX_MICROSECONDS, 3)


def record(histogram: HdrHistogram, seconds: float) -> None:
    """Add one latency."""
    histogram.record_value(max(1, round(seconds * 1e6)))


def encode(histogram: HdrHistogram) -> str:
    """The histogram as text for a JSON file or line."""
    return str(histogram.encode().decode())


def decode(text: str) -> HdrHistogram:
    """The histogram of an encoded text."""
    return HdrHistogram.decode(text)


def percentile_ms(histogram: HdrHistogram, percentile: float) -> float:
    """A percentile (0 to 100), milliseconds; 0 for an empty histogram."""
    if not histogram.get_total_count():
        return 0.0
    return float(histogram.get_value_at_percentile(percentile)) / 1000
