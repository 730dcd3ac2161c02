"""An etcd for the commands, shared by the tests of a file; each test uses names or a root of its own."""

from collections.abc import Iterator

import pytest

from infra.etcd import Etcd
from infra.ports import free_port


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    with Etcd(tmp_path_factory.mktemp("cli") / "etcd", free_port()) as started:
        yield started
