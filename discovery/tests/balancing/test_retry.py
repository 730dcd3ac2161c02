"""What may be made again: the budget, what a proto declares, and the texts by which gRPC tells what became of a call."""

import grpc
import pytest
from grpc import aio

from discovery.tests.balancing.callers import HELLO
from discovery.tests.balancing.servers import Instance
from greeter_pb2_grpc import GreeterStub
from grpc_discovery.balancing.call import is_worth_repeating, was_not_sent
from grpc_discovery.balancing.channel import is_idempotent
from grpc_discovery.balancing.pool import RetryBudget, rank
from infra.ports import free_port


def test_the_budget_pays_one_repetition_for_ten_calls() -> None:
    budget = RetryBudget()
    while budget.take():
        pass
    for _ in range(100):
        budget.count_call()
    assert sum(budget.take() for _ in range(100)) in (9, 10)


@pytest.mark.parametrize(
    ("method", "repeatable"),
    [
        ("/acme.greeter.v1.Greeter/SayHello", True),
        ("/acme.greeter.v1.Greeter/SignGuestbook", False),
        ("/acme.greeter.v1.Greeter/NoSuchCall", False),
        ("/acme.unknown.v1.Unknown/SayHello", False),
    ],
)
def test_only_what_the_proto_declares_idempotent_may_be_repeated(method: str, repeatable: bool) -> None:
    assert is_idempotent(method) is repeatable


async def test_a_refused_connection_is_told_by_the_text_that_the_code_looks_for() -> None:
    async with aio.insecure_channel(f"127.0.0.1:{free_port()}") as channel:
        with pytest.raises(aio.AioRpcError) as refusal:
            await GreeterStub(channel).SayHello(HELLO)
    assert was_not_sent(refusal.value)


async def test_an_answer_that_is_too_large_is_told_by_the_text_that_the_code_looks_for() -> None:
    instance = Instance()
    await instance.start()
    async with aio.insecure_channel(instance.address, [("grpc.max_receive_message_length", 10)]) as channel:
        with pytest.raises(aio.AioRpcError) as refusal:
            await GreeterStub(channel).SayHello(HELLO)
    await instance.stop()
    assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert not is_worth_repeating(refusal.value)


def test_with_two_hundred_instances_and_callers_none_has_too_little_or_too_much() -> None:
    addresses = [f"10.0.{number // 250}.{number % 250}:80" for number in range(200)]
    taken: dict[str, int] = dict.fromkeys(addresses, 0)
    for caller in range(200):
        for address in rank(f"caller-{caller}", addresses)[:20]:
            taken[address] += 1
    assert min(taken.values()) >= 0.3 * 20
    assert max(taken.values()) <= 2 * 20


def test_an_instance_that_comes_or_goes_changes_nothing_else_in_a_subset() -> None:
    addresses = [f"10.0.0.{number}:80" for number in range(50)]
    before = rank("caller", addresses)
    gone = before[3]
    assert rank("caller", [address for address in reversed(addresses) if address != gone]) == [
        address for address in before if address != gone
    ]
