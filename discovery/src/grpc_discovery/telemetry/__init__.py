"""What a process does, to be seen from outside: metrics, traces, a summary. Applications and callers use it by themselves; see README.md.

    spans.py     traces in this process: contexts, spans, W3C's traceparent; needs no extra
    switch.py    what is on, by the settings and by what is installed
    calls.py     both sides of every call, measured and traced
    metrics.py   what is measured, for Prometheus            |
    endpoint.py  /metrics and /summary                       |  the extra `telemetry`
    otlp.py      spans and metrics sent to a collector       |

What the other parts of the library count stands in tallies.py beside this package. Names follow OpenTelemetry's semantic conventions 1.44.0,
where these have one.
"""
