"""Defaults that follow from other settings: from names that older compose files use, and from our well-known names and ports."""

from pydantic import TypeAdapter, ValidationError

from common.catalogue import PORTS, SERVICES
from grpc_discovery.addresses import Address, parse_addresses, parse_host, parse_named_lists

_ETCD_PORT = 2379


def with_defaults(given: dict[str, object]) -> dict[str, object]:
    """`given`, by flat names in upper case, with these defaults added.

    Values that cannot be read are left as they are: each is refused under the name by which it was given.
    """
    hosts = [host for name in ("HOST_IP", "DOCKER_IP") if (host := _host(given.get(name)))]
    docker_ip = _host(given.get("DOCKER_IP"))
    beside = _host(given.get("SERVICE_HOST")) or "127.0.0.1"
    complete = {
        **given,
        "STATIC_SERVICES": _with_all_static(str(given.get("STATIC_SERVICES") or ""), beside),
        "DNS_NAMES": _with_all_dns_names(str(given.get("DNS_NAMES") or "")),
    }
    if hosts and not given.get("SERVICE_HOST"):
        complete["SERVICE_HOST"] = hosts[0]
    if docker_ip and not given.get("ETCD"):
        complete["ETCD"] = str(Address(docker_ip, _ETCD_PORT))
    if not _is_true(given.get("ENABLE_SSL")):
        # Older compose files name a certificate also where it is not used, and where there is none.
        complete["SSL_CERTIFICATE"] = complete["SSL_CERTIFICATE_FILE"] = None
    return complete


def _host(value: object) -> str | None:
    """The host that a setting gives; None where it gives none or something that is not one."""
    try:
        return parse_host(str(value)) if value else None
    except ValueError:
        return None


def _is_true(value: object) -> bool:
    try:
        return TypeAdapter(bool).validate_python(value or False)
    except ValidationError:
        return False


def _with_all_static(text: str, host: str) -> str:
    """The fixed lists with the well-known ports put in; a name that is left out is at its own port on `host`."""
    try:
        given = {
            name: ",".join(str(address) for address in parse_addresses(addresses, PORTS.get(name)))
            for name, addresses in parse_named_lists(text).items()
        }
    except ValueError:
        return text
    return _joined({name: str(Address(host, port)) for name, port in PORTS.items()} | given)


def _with_all_dns_names(text: str) -> str:
    """The DNS names; a service that is left out has its short name and its port."""
    try:
        return _joined(
            {name: f"{known.host}:{known.port}" for name, known in SERVICES.items()} | parse_named_lists(text)
        )
    except ValueError:
        return text


def _joined(lists: dict[str, str]) -> str:
    return ";".join(f"{name}={value}" for name, value in lists.items())
