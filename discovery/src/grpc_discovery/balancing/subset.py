"""Which instances a caller takes where there are more than it needs connections to: by rendezvous hashing.

Each caller ranks all addresses by a hash of its own name with the address, and takes the best. So every caller has another subset, the subsets
spread evenly, and an instance that comes or goes changes nothing in the rest of a caller's choice.
"""

from collections.abc import Iterable
from hashlib import blake2b


def rank(caller: str, addresses: Iterable[str]) -> list[str]:
    """The addresses in the order in which `caller` takes them; the same for the same caller whatever their order was."""
    key = blake2b(caller.encode(), digest_size=16).digest()
    return sorted(addresses, key=lambda address: blake2b(address.encode(), key=key, digest_size=8).digest())
