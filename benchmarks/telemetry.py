"""What metrics and traces cost a call: `python -m benchmarks.telemetry`, on a Cassandra of its own or `--cassandra HOST:PORT`.

The same service runs several times: measured or not, and with none, one per cent or all of its calls traced, which are sent to a collector that
throws them away. They take turns, round by round. Printed is the CPU time of a call, all threads of the server, in the cheapest round; the median, over
the rounds, of its ratio to the one without both in the same round; and start and memory.
"""

import argparse
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median

import uvloop

from benchmarks.calls import SERVICES, Rows, call_named, fill
from benchmarks.measuring import measure_cpu, resident_mb
from benchmarks.servers import ServerProcess, open_cassandra, run_service

CALLS = ("GetVideo", "GetVideoPreviews", "GetVideoComments")
_OFF = {"KILLRVIDEO_METRICS_PORT": "0", "KILLRVIDEO_TRACE_RATIO": "0", "KILLRVIDEO_TRACE_TO_CALLERS": "false"}


class _Discard(BaseHTTPRequestHandler):
    """Takes what is sent and throws it away."""

    def do_POST(self) -> None:
        """Answer as a collector does that has taken everything."""
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def collector() -> Iterator[str]:
    """A collector; yields its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Discard) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def variants(endpoint: str) -> dict[str, dict[str, str]]:
    """The settings of each server, by what is on."""
    default = {"KILLRVIDEO_METRICS_PORT": "", "KILLRVIDEO_TRACE_TO_CALLERS": ""}
    sent = {**default, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    return {
        "off": _OFF,
        "off again": _OFF,
        "metrics": {**_OFF, "KILLRVIDEO_METRICS_PORT": ""},
        "metrics, callers may ask (default)": default,
        "metrics, 1 % of traces": {**sent, "KILLRVIDEO_TRACE_RATIO": "0.01"},
        "metrics, all traces": {**sent, "KILLRVIDEO_TRACE_RATIO": "1"},
    }


async def run(arguments: argparse.Namespace) -> None:
    """Measure, call by call."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="killrvideo-telemetry-")))
        point = stack.enter_context(open_cassandra(arguments.cassandra, folder))
        with ExitStack() as filling:
            addresses = {slug: filling.enter_context(run_service(slug, "auto", point, folder)) for slug in SERVICES}
            rows = await fill({slug: server.address for slug, server in addresses.items()})
        chosen = variants(stack.enter_context(collector()))
        for name in arguments.calls.split(","):
            with ExitStack() as serving:
                service = call_named(name).service
                servers = {
                    variant: serving.enter_context(run_service(service, "auto", point, folder, settings))
                    for variant, settings in chosen.items()
                }
                await _measure(name, servers, rows, arguments)


async def _measure(name: str, servers: dict[str, ServerProcess], rows: Rows, arguments: argparse.Namespace) -> None:
    call = call_named(name)
    cpu: dict[str, list[float]] = {variant: [] for variant in servers}
    for number in range(arguments.rounds + 1):
        for variant, server in servers.items():
            taken = await measure_cpu(server.address, server.pid, call, rows, arguments.number)
            if number:  # the first round is for warming up
                cpu[variant].append(taken)
    print(f"{name}: {arguments.rounds} rounds of {arguments.number:,} calls")
    for variant, server in servers.items():
        ratio = median(mine / theirs for mine, theirs in zip(cpu[variant], cpu["off"], strict=True))
        least = min(cpu[variant]) / min(cpu["off"])
        figures = f"{min(cpu[variant]):7.1f} us  ratio {ratio:.3f} (cheapest {least:.3f})"
        print(f"  {variant:36} {figures}  start {server.start_seconds:.2f} s  {resident_mb(server.pid):.1f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.telemetry", description=__doc__)
    parser.add_argument("--calls", default=",".join(CALLS), help="names of calls, with commas")
    parser.add_argument("--rounds", type=int, default=15, help="rounds for each server (15)")
    parser.add_argument("--number", type=int, default=2000, help="calls of a round (2,000)")
    parser.add_argument("--cassandra", help="host:port of a Cassandra to use (one of our own)")
    uvloop.run(run(parser.parse_args()))
