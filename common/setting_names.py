"""A misspelt setting is ignored by whatever reads settings, so each process says at its start which name was probably meant."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

TOOLS_NAMES = frozenset({
    *("LOCAL", "ETCD_PORT", "ETCD_PEER_PORT", "CASSANDRA_STORAGE_PORT", "CASSANDRA_HEAP", "PORT_OFFSET"),  # infra/
    *("SECRETS", "TAG"),  # the compose files
})  # fmt: skip
"""What our tools read beside the settings of a service, without the prefix. Services are started in the same environment."""

# Names that Kubernetes gives the containers of a namespace that has a service `killrvideo-etcd`.
_OF_KUBERNETES = re.compile(r"\w+_SERVICE_(HOST|PORT(_\w+)?)|(\w+_)?PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?")
_VALUE_OF_KUBERNETES = re.compile(r"(tcp|udp|sctp)://")
_MIN_LIKENESS = 0.7


def misspelled(prefix: str, settings: Iterable[str], environment: Mapping[str, str]) -> list[str]:
    """A sentence for each variable with `prefix` that is almost one of `settings` or TOOLS_NAMES, both given without the prefix.

    Names that are like none are left alone: older compose files bring some.
    """
    known = {*settings, *TOOLS_NAMES}
    sentences = []
    for variable, value in environment.items():
        if not variable.upper().startswith(prefix):
            continue
        name = variable[len(prefix) :]
        if variable.startswith(prefix) and (name in known or _is_of_kubernetes(name, value)):
            continue
        if nearest := get_close_matches(name.upper(), known, 1, _MIN_LIKENESS):
            sentences.append(f"{variable} is not a setting and is ignored; did you mean {prefix}{nearest[0]}?")
    return sentences


def _is_of_kubernetes(name: str, value: str) -> bool:
    return bool(_OF_KUBERNETES.fullmatch(name) or _VALUE_OF_KUBERNETES.match(value))
