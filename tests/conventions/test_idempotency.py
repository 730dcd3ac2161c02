"""What may be repeated is said in the .proto files, where callers in every language can read it."""

from importlib import import_module

from google.protobuf.descriptor_pb2 import MethodOptions

from common.catalogue import SERVICES

# A counter goes up twice; the repetition of a call that made an account says that it is there already.
NOT_TO_BE_REPEATED = {"RecordPlaybackStarted", "CreateUser"}
# Writes of which the contract says that the same once more changes nothing.
IDEMPOTENT_WRITES = {"CommentOnVideo", "RateVideo", "SubmitUploadedVideo", "SubmitYouTubeVideo", "VerifyCredentials"}


def levels() -> dict[str, int]:
    return {
        method.name: method.GetOptions().idempotency_level
        for known in SERVICES.values()
        for service in import_module(f"protos.{known.slug}_pb2").DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }


def test_each_call_declares_whether_it_may_be_repeated() -> None:
    found = levels()
    assert {name for name, level in found.items() if level == MethodOptions.IDEMPOTENCY_UNKNOWN} == NOT_TO_BE_REPEATED
    assert {name for name, level in found.items() if level == MethodOptions.IDEMPOTENT} == IDEMPOTENT_WRITES
    reads = found.keys() - NOT_TO_BE_REPEATED - IDEMPOTENT_WRITES
    assert all(name.startswith(("Get", "Search")) for name in reads)
