"""What may be repeated is said in the .proto files, where callers in every language can read it."""

from importlib import import_module

from google.protobuf.descriptor_pb2 import MethodOptions

from common.catalogue import SERVICES

# Of the contract's calls. A counter goes up twice; the repetition of a call that made an account says that it is there already.
NOT_TO_BE_REPEATED = {"RecordPlaybackStarted", "CreateUser"}
# Of the contract's calls: writes of which it says that the same once more changes nothing.
IDEMPOTENT_WRITES = {"CommentOnVideo", "RateVideo", "SubmitUploadedVideo", "SubmitYouTubeVideo", "VerifyCredentials"}


def levels() -> dict[str, int]:
    return {
        method.name: method.GetOptions().idempotency_level
        for known in SERVICES.values()
        for service in import_module(known.messages_module).DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }


def test_the_writes_of_the_contract_declare_whether_they_may_be_repeated() -> None:
    found = levels()
    assert {found[name] for name in NOT_TO_BE_REPEATED} == {MethodOptions.IDEMPOTENCY_UNKNOWN}
    assert {found[name] for name in IDEMPOTENT_WRITES} == {MethodOptions.IDEMPOTENT}


def test_reads_and_only_reads_declare_that_they_change_nothing() -> None:
    for name, level in levels().items():
        reads = name.startswith(("Get", "Search"))
        assert reads == (level == MethodOptions.NO_SIDE_EFFECTS), name
