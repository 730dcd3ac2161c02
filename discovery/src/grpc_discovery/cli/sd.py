"""`sd`: Prometheus' HTTP service discovery from the registry, so that an instance is scraped as soon as it is advertised.

    scrape_configs:
      - job_name: services
        http_sd_configs:
          - url: http://127.0.0.1:8998/targets

It answers from lists that are followed, without asking anybody. While the registry is away, the last lists are served; before it has told of
all names for the first time, the answer is 503, with which Prometheus keeps the targets that it has.

Prometheus takes up to seven seconds to let go of a target. What is advertised at this very moment /metrics tells: `grpc_discovery_advertised`, with the
labels that the target has (scrape it with `honor_labels`). So an alert can tell an instance that was lost from one that has just left in order.
"""

import asyncio
import json
import signal
import sys
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from grpc_discovery.addresses import MAX_PORT, Address, parse_address
from grpc_discovery.cli.context import CommandError, Context
from grpc_discovery.discovery import Discovery
from grpc_discovery.serving.http import reply, serve_http
from grpc_discovery.serving.server import PortTaken


async def serve(context: Context) -> int:
    """Serve the targets until SIGTERM; Ctrl-C ends it in order too, as KeyboardInterrupt. Raises CommandError for a port that is taken."""
    arguments, names = context.arguments, context.names()
    if not names:
        raise CommandError("name the services that have metrics, as they stand in the registry")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with Discovery(context.settings) as discovery:
        targets = Targets(discovery, list(names.values()), arguments.offset)
        try:
            async with serve_http(targets, arguments.host, arguments.port, "--port chooses another") as port:
                print(f"targets for Prometheus: http://{Address(arguments.host, port)}/targets", flush=True)
                await stop.wait()
        except PortTaken as error:
            raise CommandError(str(error), 1) from None
        finally:
            await targets.close()
    return 0


class Targets:
    """The ASGI application: the instances of `names`, each at its advertised host, and its port plus `offset`."""

    def __init__(self, discovery: Discovery, names: list[str], offset: int) -> None:
        self._discovery, self._names, self._offset = discovery, names, offset
        self._waiting = {asyncio.create_task(discovery.listed(name)): name for name in names}
        self._too_high: set[str] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        missing = [name for task, name in self._waiting.items() if not task.done()]
        if scope["path"] not in ("/", "/targets", "/metrics"):
            await reply(send, 404, "text/plain", b"There is /targets and /metrics.\n")
        elif scope["method"] not in ("GET", "HEAD"):
            await reply(send, 405, "text/plain", b"only GET\n")
        elif missing:
            text = f"the registry has not told yet of {', '.join(missing)}\n"
            await reply(send, 503, "text/plain", text.encode())
        elif scope["path"] == "/metrics":
            await reply(send, 200, CONTENT_TYPE_LATEST, generate_latest(self))
        else:
            await reply(send, 200, "application/json", json.dumps(self.groups()).encode())

    def collect(self) -> list[Metric]:
        """What is advertised, in the form of prometheus_client."""
        labels = ["instance", "service", "instance_name"]
        family = GaugeMetricFamily("grpc_discovery_advertised", "1 for what stands in the registry.", labels=labels)
        for group in self.groups():
            family.add_metric([*group["targets"], *group["labels"].values()], 1)
        return [family]

    def groups(self) -> list[dict[str, Any]]:
        """One group for each process, in the form that Prometheus reads. Services that share an address are one: `service` names all."""
        found: dict[str, tuple[set[str], str]] = {}
        for name in self._names:
            service = self._discovery.settings.registry.name_of(name)
            for instance, address in self._discovery.instances(name).items():
                services, named = found.setdefault(address, (set(), instance))
                services.add(service)
                found[address] = (services, min(named, instance))
        groups = []
        for address, (services, instance) in sorted(found.items()):
            host, port = parse_address(address)
            if port + self._offset > MAX_PORT:
                self._tell_too_high(address)
                continue
            labels = {"service": ",".join(sorted(services)), "instance_name": instance}
            groups.append({"targets": [str(Address(host, port + self._offset))], "labels": labels})
        return groups

    def _tell_too_high(self, address: str) -> None:
        if address not in self._too_high:
            self._too_high.add(address)
            print(f"{address} is left out: there is no port {self._offset} above it", file=sys.stderr, flush=True)

    async def close(self) -> None:
        """Wait for no list any more."""
        for task in self._waiting:
            task.cancel()
        await asyncio.wait(self._waiting)
