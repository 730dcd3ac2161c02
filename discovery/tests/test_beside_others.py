"""The library lives in one process with another client of etcd, whose messages have etcd's own names."""

import subprocess
import sys
from pathlib import Path

import pytest

from infra.etcd import Etcd
from infra.ports import free_port

pytestmark = pytest.mark.processes

PROGRAM = """
import asyncio, sys
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

def theirs():
    for name, package, message in (("kv.proto", "mvccpb", "KeyValue"), ("rpc.proto", "etcdserverpb", "PutRequest")):
        file = descriptor_pb2.FileDescriptorProto(name=name, package=package, syntax="proto3")
        kind = descriptor_pb2.FieldDescriptorProto
        for number, field in enumerate(("key", "value"), 1):
            told = file.message_type.add(name=message) if number == 1 else file.message_type[0]
            told.field.add(name=field, number=number, type=kind.TYPE_BYTES, label=kind.LABEL_OPTIONAL)
        if package == "etcdserverpb":
            method = {"input_type": ".etcdserverpb.PutRequest", "output_type": ".etcdserverpb.PutRequest"}
            file.service.add(name="KV").method.add(name="Put", **method)
        descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
    found = descriptor_pool.Default().FindMessageTypeByName("etcdserverpb.PutRequest")
    assert message_factory.GetMessageClass(found)(key=b"a").SerializeToString() == b"\\n\\x01a"

def ours():
    from grpc_discovery import Settings, open_registry

    async def use():
        settings = Settings.from_environment("TEST_", {}, discovery="etcd-v3", etcd=sys.argv[2])
        registry = await open_registry(settings.registry)
        await registry.advertise("Greeter", "a", "h:1", 10)
        assert await registry.renew("Greeter", "a", "h:1", 10)
        assert await registry.list("Greeter") == {"a": "h:1"}
        await registry.withdraw("Greeter", "a", "h:1")
        await registry.close()

    asyncio.run(use())

for part in sys.argv[1].split("-"):
    globals()[part]()
"""


@pytest.mark.parametrize("order", ["theirs-ours-ours", "ours-theirs-ours"])
def test_another_client_of_etcd_may_be_imported_before_it_and_after_it(order: str, tmp_path: Path) -> None:
    with Etcd(tmp_path / "etcd", free_port()) as etcd:
        command = [sys.executable, "-c", PROGRAM, order, etcd.address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
