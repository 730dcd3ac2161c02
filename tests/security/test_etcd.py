"""TLS between services and etcd, and users of etcd that may write their own service's entries only."""

import base64
import json
import os
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.cassandra import Cassandra
from infra.etcd import Etcd, MemberTls, pinned_program
from infra.ports import free_port
from infra.processes import wait_until
from tests.processes import ServiceProcess
from tests.security.certificates import Authority, Certificate

APIS = pytest.mark.parametrize("api", ["etcd-v2", "etcd-v3"])
ROOT_USER = "root:only-for-this-test"
PASSWORD = "comments-password-83"


@contextmanager
def started(process: ServiceProcess) -> Iterator[ServiceProcess]:
    """The process, started and not waited for; stopped at the end."""
    process.start()
    try:
        yield process
    finally:
        process.stop()


def wait_for_line(process: ServiceProcess, line: str) -> None:
    wait_until(lambda: line in process.log_text(), 60, f"`{line}` in the log:\n{process.log_end()}")


@pytest.fixture
def guarded(tmp_path: Path, authority: Authority) -> Iterator[tuple[Etcd, Certificate]]:
    """An etcd that speaks TLS only and asks for a certificate; and one that it takes."""
    server = authority.sign("etcd")
    tls = MemberTls(server.certificate, server.key, authority.certificate)
    with Etcd(tmp_path / "etcd", free_port(), tls=tls) as member:
        yield member, authority.sign("service")


@APIS
def test_a_service_advertises_itself_over_tls_with_its_certificate(
    api: str, guarded: tuple[Etcd, Certificate], authority: Authority, cassandra: Cassandra, tmp_path: Path
) -> None:
    member, shown = guarded
    settings = {
        "KILLRVIDEO_DISCOVERY": api,
        "KILLRVIDEO_ETCD": member.address,
        "KILLRVIDEO_ETCD_CA": str(authority.certificate),
        "KILLRVIDEO_ETCD_CERTIFICATE": str(shown.certificate),
        "KILLRVIDEO_ETCD_KEY": str(shown.key),
        "KILLRVIDEO_DSE_CONTACT_POINTS": cassandra.address,
    }
    with started(ServiceProcess("comments", tmp_path, settings)) as process:
        wait_for_line(process, f"advertised as CommentsService/{process.address} at {process.address}")
        if api == "etcd-v2":
            assert (
                over_tls(member, "/v2/keys/killrvideo/services/CommentsService", authority, shown)["node"]["nodes"][0][
                    "value"
                ]
                == process.address
            )
    assert process.exit_code == 0
    assert "withdrawn: CommentsService/" in process.log_text()


@APIS
@pytest.mark.parametrize("fault", ["no certificate of its own", "an etcd that a stranger vouches for"])
def test_a_service_that_etcd_refuses_or_that_refuses_etcd_is_not_advertised_and_says_so(  # noqa: PLR0917  # fixtures
    api: str,
    fault: str,
    guarded: tuple[Etcd, Certificate],
    authority: Authority,
    stranger: Authority,
    cassandra: Cassandra,
    tmp_path: Path,
) -> None:
    member, shown = guarded
    trusted = stranger if "stranger" in fault else authority
    settings = {
        "KILLRVIDEO_DISCOVERY": api,
        "KILLRVIDEO_ETCD": member.address,
        "KILLRVIDEO_ETCD_CA": str(trusted.certificate),
        "KILLRVIDEO_DSE_CONTACT_POINTS": cassandra.address,
    }
    if "stranger" in fault:
        settings |= {"KILLRVIDEO_ETCD_CERTIFICATE": str(shown.certificate), "KILLRVIDEO_ETCD_KEY": str(shown.key)}
    with started(ServiceProcess("comments", tmp_path, settings)) as process:
        wait_for_line(process, "not advertised yet: CommentsService/")
        assert "advertised as" not in process.log_text()


@pytest.fixture
def with_roles(tmp_path: Path) -> Iterator[Etcd]:
    """An etcd on whose both APIs a user `comments` may read all services and write its own. The commands are those of docs/operations.md."""
    with Etcd(tmp_path / "etcd", free_port()) as member:
        v3_roles(member)
        v2_roles(member)
        yield member


def v3_roles(member: Etcd) -> None:
    for command in (
        f"user add {ROOT_USER}",
        "user grant-role root root",
        "role add comments",
        "role grant-permission comments --prefix=true read /killrvideo/services/",
        "role grant-permission comments --prefix=true readwrite /killrvideo/services/CommentsService/",
        f"user add comments:{PASSWORD}",
        "user grant-role comments comments",
        "auth enable",
    ):
        etcdctl(member, *command.split())


def etcdctl(member: Etcd, *arguments: str) -> str:
    done = subprocess.run(
        [str(pinned_program().with_name("etcdctl")), f"--endpoints={member.address}", *arguments],
        env={**os.environ, "ETCDCTL_API": "3"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def v2_roles(member: Etcd) -> None:
    mine = "/killrvideo/services/CommentsService"
    may = {"read": ["/killrvideo/*"], "write": [mine, f"{mine}/*"]}
    root_name, root_password = ROOT_USER.split(":")
    put_json(member, "/v2/auth/users/root", {"user": root_name, "password": root_password})
    put_json(member, "/v2/auth/roles/comments", {"role": "comments", "permissions": {"kv": may}})
    put_json(member, "/v2/auth/users/comments", {"user": "comments", "password": PASSWORD, "roles": ["comments"]})
    put_json(member, "/v2/auth/enable", {})
    # Without a user, everything is allowed until this: existing clients go on reading, and nobody else writes.
    guest = {
        "role": "guest",
        "revoke": {"kv": {"read": ["/*"], "write": ["/*"]}},
        "grant": {"kv": {"read": ["/killrvideo/*"], "write": []}},
    }
    put_json(member, "/v2/auth/roles/guest", guest, user=ROOT_USER)


def put_json(member: Etcd, path: str, body: object, user: str = "") -> None:
    request = urllib.request.Request(
        f"{member.url}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}, method="PUT"
    )
    if user:
        request.add_header("Authorization", f"Basic {base64.b64encode(user.encode()).decode()}")
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert answer.status in (200, 201)


@APIS
def test_a_user_of_etcd_advertises_its_own_service_and_no_other(
    api: str, with_roles: Etcd, cassandra: Cassandra, tmp_path: Path
) -> None:
    password = tmp_path / "etcd_password"
    password.write_text(f"{PASSWORD}\n", encoding="utf-8")
    settings = {
        "KILLRVIDEO_DISCOVERY": api,
        "KILLRVIDEO_ETCD": with_roles.address,
        "KILLRVIDEO_ETCD_USERNAME": "comments",
        "KILLRVIDEO_ETCD_PASSWORD_FILE": str(password),
        "KILLRVIDEO_DSE_CONTACT_POINTS": cassandra.address,
    }
    with started(ServiceProcess("comments", tmp_path, settings)) as comments:
        wait_for_line(comments, "advertised as CommentsService/")
    assert "withdrawn: CommentsService/" in comments.log_text()
    with started(ServiceProcess("ratings", tmp_path, settings)) as ratings:
        wait_for_line(ratings, "not advertised yet: RatingsService/")
        assert "advertised as" not in ratings.log_text()
    assert PASSWORD not in comments.log_text() + ratings.log_text()


def test_a_caller_without_a_user_reads_the_older_api_and_cannot_write_it(with_roles: Etcd) -> None:
    url = f"{with_roles.url}/v2/keys/killrvideo/services/RatingsService/intruder"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(url, b"value=10.0.0.1:1", method="PUT"), timeout=5)
    assert refused.value.code == 401
    with pytest.raises(urllib.error.HTTPError) as absent:
        urllib.request.urlopen(url, timeout=5)
    assert absent.value.code == 404


def over_tls(
    member: Etcd, path: str, authority: Authority, shown: Certificate
) -> dict[str, dict[str, list[dict[str, str]]]]:
    context = ssl.create_default_context(cafile=str(authority.certificate))
    context.load_cert_chain(shown.certificate, shown.key)
    with urllib.request.urlopen(f"{member.url}{path}", timeout=5, context=context) as answer:
        content: dict[str, dict[str, list[dict[str, str]]]] = json.load(answer)
        return content
