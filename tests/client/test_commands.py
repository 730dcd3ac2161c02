"""`python -m client` as a person or a script uses it: what it prints, where, and with which exit code."""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from common.catalogue import SERVICES
from discovery.tests.balancing.servers import instances
from discovery.tests.etcds import V2
from infra.etcd import Etcd
from infra.layout import ROOT
from infra.ports import free_port
from tests.client.servers import Instance

pytestmark = pytest.mark.processes

COMMENTS = "/killrvideo/services/CommentsService"


class Done(NamedTuple):
    """What came of a command."""

    code: int
    out: str
    err: str


async def client(*words: str, etcd: str = "", **settings: str) -> Done:
    """Run `python -m client` to its end."""
    environment = {"PATH": "/usr/bin:/bin", "KILLRVIDEO_ETCD": etcd} | settings
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "client", *words, cwd=ROOT, env=environment, stdout=-1, stderr=-1
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    with Etcd(tmp_path_factory.mktemp("client") / "etcd", free_port()) as started:
        yield started


async def test_list_wait_and_call_in_a_pipe(etcd: Etcd) -> None:
    async with instances(1, Instance) as [instance]:
        V2.put(etcd.address, f"{COMMENTS}/slot", instance.address)
        waited = await client("wait", "comments", "--timeout", "30", etcd=etcd.address)
        assert waited.code == 0, waited.err
        listed = await client("list", "comments", etcd=etcd.address)
        assert listed.out.split("\t")[:4] == ["CommentsService", "slot", instance.address, "serving"]
        as_json = await client("list", "CommentsService", "--json", etcd=etcd.address)
        assert json.loads(as_json.out)["address"] == instance.address
        called = await client("call", "comments", "GetVideoComments", '{"page_size": 5}', etcd=etcd.address)
        assert json.loads(called.out)["paging_state"] == instance.address
        V2.delete(etcd.address, COMMENTS)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("wait", "--timeout", "-1"), "-1 is not a number of seconds above 0"),
        (("list", "--timeout", "soon"), "soon is not a number of seconds above 0"),
        (("call", "comments", "GetComments"), "CommentsService has no call GetComments. It has: CommentOnVideo, "),
        (("call", "comments", "GetVideoComments", "{page"), "not a GetVideoCommentsRequest: Expecting property name"),
        (("call", "comments", "GetVideoComments", "[]"), "not a GetVideoCommentsRequest: [] is not a JSON object. "),
        (("call", "comments", "GetVideoComments", '{"page": 1}'), 'has no field named "page"'),
        (("call", "comments", "GetVideoComments", '{"page_size": "x"}'), "Failed to parse page_size field"),
        (("advertise", "web", "nowhere"), "the address is not host:port: 'nowhere'"),
        (("advertise", "web", ":3000"), "the address is no host"),
        (("advertise", "web", "h:1", "--while"), "--while needs a command"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
async def test_wrong_use_is_told_in_a_sentence(words: tuple[str, ...], says: str) -> None:
    done = await client(*words)
    assert done.code == 2
    assert says in done.err.splitlines()[-1]
    assert not done.out


async def test_a_misspelt_name_is_told_with_the_one_that_is_meant(etcd: Etcd) -> None:
    done = await client("list", "coments", etcd=etcd.address)
    assert "nothing in the registry is called coments; did you mean CommentsService?" in done.err


async def test_list_shows_what_is_advertised_besides_the_seven(etcd: Etcd) -> None:
    V2.put(etcd.address, "/killrvideo/services/cassandra/node", "10.0.75.1:9042")
    listed = await client("list", etcd=etcd.address)
    names = [line.split("\t")[0] for line in listed.out.splitlines()]
    assert {"cassandra", *SERVICES} <= set(names)
    V2.delete(etcd.address, "/killrvideo/services/cassandra")


async def test_where_there_is_no_registry_nothing_is_advertised() -> None:
    done = await client("advertise", "web", "h:1", KILLRVIDEO_DISCOVERY="static")
    assert (done.code, done.err) == (2, "KILLRVIDEO_DISCOVERY=static has no registry to keep an entry in\n")


async def test_a_registry_that_gives_no_answer_is_named() -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    listed = await client("list", "--timeout", "1", etcd=nowhere)
    assert listed.code == 3
    assert f"the registry gives no answer within 1 s (KILLRVIDEO_DISCOVERY=auto, etcd at {nowhere})" in listed.err
    for words in (("wait", "comments"), ("call", "comments", "GetVideoComments")):
        done = await client(*words, "--timeout", "1", etcd=nowhere)
        assert done.code == 1
        assert "the registry gives no answer" in done.err


async def test_an_entry_is_kept_while_a_command_runs_and_its_exit_code_is_ours(etcd: Etcd, tmp_path: Path) -> None:
    here = f"until curl -sf http://{etcd.address}/v2/keys/killrvideo/services/web; do :; done; exit 7"
    done = await client("advertise", "web", "10.0.75.1:3000", "--while", "/bin/sh", "-c", here, etcd=etcd.address)
    assert done.code == 7, done.err
    assert json.loads(done.out)["node"]["nodes"][0]["value"] == "10.0.75.1:3000"
    assert not V2.holds(etcd.address, "/killrvideo/services/web")
