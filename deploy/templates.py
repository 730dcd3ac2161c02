"""The texts that follow from common/catalogue.py. `python -m deploy.generate` puts them where they belong."""

from collections.abc import Callable

from common.catalogue import SERVICES, SHARED_PORT, KnownService
from grpc_discovery.settings import METRICS_PORT_OFFSET

SOURCE = "# Written by `make generate` from common/catalogue.py; edit that."

HOST_PORTS = 9
"""Where several containers of a service share a host, so many of them get a port of the host, in turn."""


def for_each(text: Callable[[KnownService], str], between: str = "") -> str:
    """The text of every service, one after the other."""
    return between.join(map(text, SERVICES.values()))


def package_init(known: KnownService) -> str:
    """services/<slug>/__init__.py."""
    return f'{SOURCE}\n"""{known.purpose}"""\n'


def package_main(known: KnownService) -> str:
    """services/<slug>/__main__.py."""
    starts = f"Starts {known.name}: `python -m {known.module}`."
    if not known.command:
        return f'''\
{SOURCE}
"""{starts}"""

from common.service import run
from {known.module}.service import SERVICE

if __name__ == "__main__":
    run(SERVICE)
'''
    return f'''\
{SOURCE}
"""{starts} With `{known.command}` as its first argument it does what {known.command}.py says instead."""

import sys

from common.service import run
from {known.module}.{known.command} import main
from {known.module}.service import SERVICE

if __name__ == "__main__":
    if sys.argv[1:2] == ["{known.command}"]:
        main(sys.argv[2:])
    else:
        run(SERVICE)
'''


def client_stubs() -> str:
    """client/stubs.py."""
    by_module = sorted(SERVICES.values(), key=lambda known: known.grpc_module)
    modules = "".join(f"    {known.slug}_pb2_grpc,\n" for known in by_module)
    types = "".join(f"    from {known.grpc_module} import {known.name}AsyncStub\n" for known in by_module)
    classes = for_each(lambda known: f'    "{known.name}": {known.slug}_pb2_grpc.{known.stub},\n')
    awaited = for_each(lambda known: _stub_property(known, f"{known.name}AsyncStub"), between="\n")
    blocking = for_each(lambda known: _stub_property(known, f"{known.slug}_pb2_grpc.{known.stub}"), between="\n")
    return f'''\
{SOURCE}
"""The stub of each service as a property, so that editors and type checkers know its calls."""

from typing import TYPE_CHECKING, Any, cast

from client.lazy_stubs import LazyStubs
from protos import (
{modules})

if TYPE_CHECKING:  # these classes exist in the type stubs only
{types}
STUBS: dict[str, Any] = {{
{classes}}}
"""The stub of each service, by its name in the registry."""


class AsyncStubs(LazyStubs):
    """Stubs whose calls are awaited."""

{awaited}

class BlockingStubs(LazyStubs):
    """Stubs whose calls wait for their answer."""

{blocking}'''


def _stub_property(known: KnownService, kind: str) -> str:
    return f'''\
    @property
    def {known.slug}(self) -> "{kind}":
        """{known.purpose}"""
        return cast("{kind}", self.stub("{known.name}"))
'''


def container(known: KnownService, name: str, parts: str, *more: str) -> str:
    """A container of a compose file that runs one service, with `more` lines of its own; `parts` is the path of deploy/parts.yaml."""
    lines = [
        f"  {name}:",
        f"    extends: {{file: {parts}, service: backend}}",
        f"    command: [{known.slug}]",
        "    environment: *environment",
        *(f"    {line}" for line in more),
    ]
    return "\n".join(lines) + "\n"


def scalable_container(known: KnownService, name: str, parts: str) -> str:
    """One that may be scaled on one host: its host port is one of a range."""
    ports = f'ports: ["127.0.0.1:{known.port}-{known.port + HOST_PORTS - 1}:{known.port}"]'
    return container(known, name, parts, "depends_on: *ready", ports)


def desktop() -> str:
    """The services of compose.yaml."""
    return for_each(lambda known: scalable_container(known, known.slug, "deploy/parts.yaml"), between="\n")


def dns() -> str:
    """The services of deploy/dns.yaml, called by names that can be looked up."""
    return for_each(lambda known: scalable_container(known, known.host, "parts.yaml"), between="\n")


def observed() -> str:
    """What deploy/observability/compose.yaml adds to the services."""
    return for_each(
        lambda known: f"  {known.slug}:\n    environment: {{<<: *telemetry, OTEL_SERVICE_NAME: {known.name}}}\n"
    )


def cluster() -> str:
    """The services of deploy/cluster.yaml."""
    return for_each(
        lambda known: container(known, known.slug, "parts.yaml", "depends_on: *ready", "deploy: {replicas: 2}"),
        between="\n",
    )


def cloud() -> str:
    """The services of deploy/cloud.yaml."""
    return for_each(
        lambda known: container(
            known,
            known.slug,
            "parts.yaml",
            "volumes: *secrets",
            f'ports: ["${{KILLRVIDEO_SERVICE_HOST}}:{known.port}:{known.port}"]',
        ),
        between="\n",
    )


def single_ports() -> str:
    """The ports of the container of deploy/single.yaml."""
    return for_each(lambda known: f'      - "127.0.0.1:{known.port}:{known.port}"\n')


def exposed_ports() -> str:
    """The ports that the Dockerfile names."""
    ports = " ".join(str(port) for port in (*(known.port for known in SERVICES.values()), SHARED_PORT))
    return f"EXPOSE {ports}\n"


def kustomized_services() -> str:
    """The folders of the services in deploy/kubernetes/dns/kustomization.yaml."""
    return for_each(lambda known: f"  - ../services/{known.host}\n")


def kubernetes_names() -> str:
    """Where callers in Kubernetes look the services up: a setting of deploy/kubernetes/dns/settings.yaml."""
    names = for_each(lambda known: f"    {known.name}={known.host}-service:{known.port}", between=";\\\n")
    return f'  KILLRVIDEO_DNS_NAMES: "\\\n{names}"\n'


def kustomization(known: KnownService) -> str:
    """deploy/kubernetes/services/<host>/kustomization.yaml."""
    container_path = "/spec/template/spec/containers/0"
    return f"""\
{SOURCE}
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../../service]
namePrefix: {known.host}-
labels:
  - pairs: {{app.kubernetes.io/name: {known.host}}}
    includeSelectors: true
    includeTemplates: true
patches:
  - target: {{kind: Deployment}}
    patch: |
      - {{op: replace, path: {container_path}/args/0, value: {known.slug}}}
      - {{op: replace, path: {container_path}/ports/0/containerPort, value: {known.port}}}
      - {{op: replace, path: {container_path}/ports/1/containerPort, value: {known.port + METRICS_PORT_OFFSET}}}
      - {{op: replace, path: /spec/template/metadata/annotations/prometheus.io~1port, value: "{known.port + METRICS_PORT_OFFSET}"}}
      - {{op: replace, path: {container_path}/startupProbe/grpc/port, value: {known.port}}}
      - {{op: replace, path: {container_path}/readinessProbe/grpc/port, value: {known.port}}}
      - {{op: replace, path: {container_path}/livenessProbe/grpc/port, value: {known.port}}}
  - target: {{kind: Service}}
    patch: |
      - {{op: replace, path: /spec/ports/0/port, value: {known.port}}}
"""
