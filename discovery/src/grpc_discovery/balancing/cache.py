"""The last known instances in a file, for a caller that starts while the registry is away."""

import json
import logging
from pathlib import Path

_log = logging.getLogger(__name__)


class InstanceCache:
    """The last lists. Without a path it remembers nothing beyond the process."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lists: dict[str, dict[str, str]] = {}
        if path and path.exists():
            try:
                self._lists = {
                    str(name): {str(instance): str(address) for instance, address in known.items()}
                    for name, known in json.loads(path.read_text(encoding="utf-8")).items()
                }
            except (OSError, ValueError, AttributeError) as error:
                _log.warning("%s cannot be read and is written anew: %s", path, error)

    def recall(self, name: str) -> dict[str, str]:
        """The last known instances of a service: instance -> address, as unchecked as whatever a file holds."""
        return self._lists.get(name, {})

    def keep(self, name: str, instances: dict[str, str]) -> None:
        """Write down the instances of a service. A file that cannot be written is told in the log and is no error."""
        self._lists[name] = instances
        if self._path:
            fresh = self._path.with_name(f"{self._path.name}.new")
            try:
                fresh.write_text(json.dumps(self._lists, indent=1), encoding="utf-8")
                fresh.replace(self._path)
            except OSError as error:
                _log.warning("%s cannot be written: %s", self._path, error)
