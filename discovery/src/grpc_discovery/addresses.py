"""Addresses and names, checked in one place: wherever one enters (settings, registry, DNS, cache file, command line), it is read here.

An address is `host:port`, where host is an IPv4 address, an IPv6 address in brackets, or a DNS name. Nothing else is ever handed to gRPC,
to which `unix:/any.sock` or `dns://server/name` would be targets too.
"""

import ipaddress
import re
import socket
from contextlib import suppress
from typing import NamedTuple

MAX_PORT = 65_535
"""The highest there is."""

_MAX_NAME = 255
_HOST_AND_PORT = re.compile(r"(?P<host>\[[^]]*\]|[^:]*)(:(?P<port>[^:]*))?")
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.(?!-)[A-Za-z0-9_-]{1,63})*\.?")
_SERVICE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*")
# What keys of both interfaces of etcd can hold: v2 hides names that begin with an underscore, and a slash would make a directory.
_INSTANCE_NAME = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9._:@\[\]+~=-]*")


class Address(NamedTuple):
    """Where something listens. Its text is `host:port`, with brackets around an IPv6 address."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def target(self) -> str:
        """The address as a gRPC target that names its scheme, so that a host called `unix` is a host."""
        return f"dns:///{self}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine's loopback, written as an address or as `localhost`."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def is_unspecified(host: str) -> bool:
    """Whether a host means 'all interfaces' (0.0.0.0, ::), which one can listen on and nobody can dial."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_unspecified
    return False


def parse_host(text: str) -> str:
    """A host without a port: an IPv4 or IPv6 address (brackets are taken off) or a DNS name. Raises ValueError."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    with suppress(ValueError):
        if ":" in bare:
            return str(ipaddress.IPv6Address(bare))
        if text.replace(".", "").isdigit():
            return str(ipaddress.IPv4Address(text))
        if len(text) <= _MAX_NAME and _HOST_NAME.fullmatch(text):
            return text
    raise ValueError(f"is no host (an IP address or a name, without scheme and port): {text!r}")


def parse_address(text: str, default_port: int | None = None) -> Address:
    """`host:port` as an Address. Without a default port the port must be there. Raises ValueError with a sentence that shows the text.

    An IPv6 address without brackets is taken only where a default port makes clear what its last part is.
    """
    parts = _HOST_AND_PORT.fullmatch(text)
    host, port = (parts["host"], parts["port"]) if parts else (text, None)
    if port is None and default_port:
        return Address(parse_host(host), default_port)
    if parts is None:
        raise ValueError(f"is not host:port: {text!r}; an IPv6 address stands in brackets: [::1]:8080")
    if not (port and port.isascii() and port.isdigit() and 0 < int(port) <= MAX_PORT):
        raise ValueError(f"is not host:port: {text!r} (a port is a number from 1 to {MAX_PORT})")
    return Address(parse_host(host), int(port))


def parse_addresses(text: str, default_port: int | None = None) -> list[Address]:
    """Addresses with commas between them. Raises ValueError also where there is none, as in `,`."""
    return [parse_address(part.strip(), default_port) for part in text.split(",")]


def parse_dialable(text: str) -> Address:
    """An address that somebody advertised, as one can dial it. Raises ValueError also for 0.0.0.0 and ::."""
    address = parse_address(text)
    if is_unspecified(address.host):
        raise ValueError(f"cannot be dialled: {text!r}")
    return address


def parse_named_lists(text: str) -> dict[str, str]:
    """`Comments=a:1,b:2;Ratings=c:3` as {name: text behind the sign}. Raises ValueError for a part without a name."""
    lists = {}
    for part in filter(None, map(str.strip, text.split(";"))):
        name, _, value = map(str.strip, part.partition("="))
        if not name or not value:
            raise ValueError(f"is not Name=addresses: {part!r}")
        lists[check_service_name(name)] = value
    return lists


def check_service_name(name: str) -> str:
    """The name, if it can be one of a service in a registry: words of letters, digits, _ and - with dots between. Raises ValueError."""
    if len(name) > _MAX_NAME or not _SERVICE_NAME.fullmatch(name):
        raise ValueError(f"is no name of a service (letters, digits, _, - and dots, a letter first): {name!r}")
    return name


def check_instance_name(name: str) -> str:
    """The name, if it can be one of an instance in every registry. Raises ValueError."""
    if len(name) > _MAX_NAME or not _INSTANCE_NAME.fullmatch(name):
        allowed = "letters, digits and . _ : @ [ ] + ~ = -, a letter or digit first"
        raise ValueError(f"is no name of an instance ({allowed}): {name!r}")
    return name


def printable(text: str) -> str:
    """Text from elsewhere as a terminal or a log may show it: whatever is not printable is written as an escape."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def own_address() -> str:
    """The address under which this machine or container is reached from others; 127.0.0.1 where there is none.

    Not what /etc/hosts says of the own name, which is 127.0.1.1 on Debian. Asking for a route sends nothing.
    """
    for family, elsewhere in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((elsewhere, 9))
            found = str(probe.getsockname()[0])
            if not is_unspecified(found):
                return found
    with suppress(OSError):
        return socket.gethostbyname(socket.gethostname())
    return "127.0.0.1"
