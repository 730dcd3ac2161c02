"""What a process leaves behind that advertised itself in etcd's v2 keys and died without a word.

Its entry goes by the TTL, but etcd keeps the directory, and existing clients fail on an empty one. While the process lives, a shell waits on
a pipe from it (etcd_v2.py). When the pipe breaks, the shell becomes this program: it waits for the entry to expire, removes the
directories that are left empty, and ends.

Standard library only, and run as a file: it has to be up within a moment, on a machine that may just have lost more than one process.
"""

import base64
import http.client
import json
import os
import ssl
import time
import urllib.parse
from typing import Any

_PREFIX = "KILLRVIDEO_"
_ROOT = "/v2/keys/killrvideo/services"
_EVERY_SECONDS = 0.2
_REQUEST_SECONDS = 1.5


def sweep(address: str, headers: dict[str, str], context: ssl.SSLContext | None) -> None:
    """Remove the empty directories of services. Raises OSError or ValueError when this etcd member does not answer as it should."""
    if context:
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            address, timeout=_REQUEST_SECONDS, context=context
        )
    else:
        connection = http.client.HTTPConnection(address, timeout=_REQUEST_SECONDS)

    def ask(method: str, path: str) -> Any:
        connection.request(method, path, headers=headers)
        return json.loads(connection.getresponse().read())

    try:
        for child in ask("GET", f"{_ROOT}?recursive=true&quorum=true").get("node", {}).get("nodes", []):
            if child.get("dir") and not child.get("nodes"):
                # etcd refuses if an entry has come meanwhile.
                ask("DELETE", f"/v2/keys{urllib.parse.quote(child['key'])}?dir=true")
    finally:
        connection.close()


def main() -> None:
    """Sweep from shortly before the earliest moment at which the entry can expire until after the latest."""
    died = time.monotonic()

    def setting(name: str) -> str:
        return os.environ.get(_PREFIX + name, "")

    ttl = float(setting("TTL"))
    headers, context = {}, None
    if setting("ETCD_USERNAME"):
        credentials = f"{setting('ETCD_USERNAME')}:{setting('ETCD_PASSWORD')}"
        headers["Authorization"] = "Basic " + base64.b64encode(credentials.encode()).decode()
    if setting("ETCD_CA") or setting("ETCD_CERTIFICATE"):
        context = ssl.create_default_context(cafile=setting("ETCD_CA") or None)
        if setting("ETCD_CERTIFICATE"):
            context.load_cert_chain(setting("ETCD_CERTIFICATE"), setting("ETCD_KEY"))
    time.sleep(ttl * 0.6)
    while time.monotonic() < died + ttl + 3:
        for address in setting("ETCD").split(","):
            try:
                sweep(address, headers, context)
                break
            except (OSError, ValueError, http.client.HTTPException):
                pass  # the next member; or, while etcd is away, it expires no entry either
        time.sleep(_EVERY_SECONDS)


if __name__ == "__main__":
    main()
