"""What a process leaves behind that advertised itself in etcd's v2 keys and died without a word.

Its entry goes by the TTL, but etcd keeps the directory, and existing clients fail on an empty one. While the process lives, a shell waits on
a pipe from it (etcd_v2_sweeper.py). When the pipe breaks, the shell runs this program: it waits for the entry to expire, removes the
directories that are left empty, and ends.

Standard library only, and run as a file: it has to be up within a moment, on a machine that may just have lost more than one process.
"""

import http.client
import json
import random
import ssl
import sys
import time
import urllib.parse
from typing import Any


def sweep(address: str, root: str, headers: dict[str, str], context: ssl.SSLContext | None, seconds: float) -> None:
    """Remove the empty directories of services. Raises OSError or ValueError when this etcd member does not answer as it should."""
    if context:
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(address, timeout=seconds, context=context)
    else:
        connection = http.client.HTTPConnection(address, timeout=seconds)

    def ask(method: str, path: str) -> Any:
        connection.request(method, path, headers=headers)
        return json.loads(connection.getresponse().read())

    try:
        for child in ask("GET", f"/v2/keys{root}?recursive=true&quorum=true").get("node", {}).get("nodes", []):
            if child.get("dir") and not child.get("nodes"):
                # etcd refuses if an entry has come meanwhile.
                ask("DELETE", f"/v2/keys{urllib.parse.quote(child['key'])}?dir=true")
    finally:
        connection.close()


def main() -> None:
    """Sweep from shortly before the earliest moment at which the entry can expire until after the latest."""
    died = time.monotonic()
    told = json.loads(sys.stdin.readline())
    context = None
    if told["tls"]:
        context = ssl.create_default_context(cafile=told["ca"])
        if told["certificate"]:
            context.load_cert_chain(told["certificate"], told["key"])
    ttl, interval = told["ttl"], told["interval"]
    # With a user etcd takes long for an answer, so that a request may take longer.
    request = 1.5 if interval < 1 else 8.0
    # The last renewal was at most a third of the TTL ago.
    time.sleep(ttl * 0.6)
    while time.monotonic() < died + ttl + 3:
        for address in told["members"]:
            try:
                sweep(address, told["root"], told["headers"], context, request)
                break
            except (OSError, ValueError, http.client.HTTPException):
                pass  # the next member; or, while etcd is away, it expires no entry either
        time.sleep(interval * random.uniform(0.7, 1.3))


if __name__ == "__main__":
    main()
