"""For all tests of the library: the greeter of the examples can be imported, and there is an etcd."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.etcd import Etcd
from infra.ports import free_port

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    """One etcd, with both interfaces, for the tests of a file; each test uses names or a root of its own."""
    with Etcd(tmp_path_factory.mktemp("etcd"), free_port()) as started:
        yield started
