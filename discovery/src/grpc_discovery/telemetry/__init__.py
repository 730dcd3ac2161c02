"""What a process does, to be seen from outside: metrics, traces, a summary. Applications and callers use it by themselves; see README.md.

    spans.py     traces in this process: contexts, spans, W3C's traceparent; needs no extra
    tallies.py   what the other parts of the library count and who of them lives; needs no extra
    calls.py     both sides of every call, measured and traced
    metrics.py   what is measured, for Prometheus            |
    summary.py   the last seconds of a server, in few words  |  the extra `telemetry`
    http.py      /metrics and /summary                       |
    otlp.py      spans and metrics sent to a collector       |

Names follow OpenTelemetry's semantic conventions 1.44.0 where they have one.
"""
