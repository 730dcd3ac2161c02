"""Sends one query to a Cassandra node, in its native protocol (version 4), to know whether it serves.

Written by hand because a starting node is probed many times a second: the driver would bring its pools and threads.
"""

import socket
import ssl
import struct
from dataclasses import dataclass

REQUEST_VERSION = 0x04
ERROR, STARTUP, READY, AUTHENTICATE, QUERY, RESULT, AUTH_RESPONSE, AUTH_SUCCESS = (
    0x00,
    0x01,
    0x02,
    0x03,
    0x07,
    0x08,
    0x0F,
    0x10,
)
CONSISTENCY_ONE = 0x0001
PROBE = "SELECT release_version FROM system.local"


@dataclass(frozen=True)
class Login:
    """User name and password for a Cassandra that asks for them."""

    username: str
    password: str


def answers(host: str, port: int, *, login: Login | None = None, tls: bool = False, timeout: float = 2.0) -> bool:
    """Whether the node at host:port answers a query within `timeout` seconds (for each step)."""
    try:
        with socket.create_connection((host, port), timeout) as connection:
            stream = _encrypted(connection) if tls else connection
            kind = _ask(stream, STARTUP, _string_map({"CQL_VERSION": "3.0.0"}))
            if kind == AUTHENTICATE and login is not None:
                kind = _ask(stream, AUTH_RESPONSE, _bytes(f"\0{login.username}\0{login.password}".encode()))
            if kind not in (READY, AUTH_SUCCESS):
                return False
            query = PROBE.encode()
            return (
                _ask(stream, QUERY, struct.pack("!i", len(query)) + query + struct.pack("!HB", CONSISTENCY_ONE, 0))
                == RESULT
            )
    except OSError:
        return False


def _encrypted(connection: socket.socket) -> ssl.SSLSocket:
    # This only probes whether it serves; clients check the certificate.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connection)


def _ask(stream: socket.socket, opcode: int, body: bytes) -> int:
    """Send one frame and return the opcode of the answer, whose body is read and dropped."""
    stream.sendall(struct.pack("!BBhBi", REQUEST_VERSION, 0, 0, opcode, len(body)) + body)
    _, _, _, answer, length = struct.unpack("!BBhBi", _read(stream, 9))
    _read(stream, length)
    return int(answer)


def _read(stream: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        piece = stream.recv(length - len(data))
        if not piece:
            raise ConnectionError("the node closed the connection")
        data += piece
    return data


def _string_map(values: dict[str, str]) -> bytes:
    pairs = [_string(key) + _string(value) for key, value in values.items()]
    return struct.pack("!H", len(pairs)) + b"".join(pairs)


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("!H", len(data)) + data


def _bytes(data: bytes) -> bytes:
    return struct.pack("!i", len(data)) + data
