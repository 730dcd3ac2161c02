"""KillrVideo's settings: the names that earlier backends used, what follows from our well-known names and ports, and what is refused."""

from pathlib import Path

import pytest

from common.settings import PREFIX, Settings
from grpc_discovery import SettingsError
from grpc_discovery.addresses import Address, parse_named_lists


def read(**environment: str) -> Settings:
    """The settings that an environment with these variables, and no others, gives."""
    return Settings.from_environment(PREFIX, {f"{PREFIX}{name}": value for name, value in environment.items()})


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("::1", [Address("::1", 9042)]),
        ("[::1]:9043", [Address("::1", 9043)]),
        ("[2001:db8::10]", [Address("2001:db8::10", 9042)]),
        ("2001:db8::10, node-2:9142,10.0.75.1", [Address("2001:db8::10", 9042), Address("node-2", 9142), Address("10.0.75.1", 9042)]),
    ],
)  # fmt: skip
def test_contact_points_are_read_in_every_spelling(text: str, meant: list[Address]) -> None:
    assert read(DSE_CONTACT_POINTS=text).cassandra.contact_points == meant


def test_contact_points_without_a_port_have_that_of_the_setting() -> None:
    assert read(DSE_CONTACT_POINTS="a,b:1", CASSANDRA_PORT="9043").cassandra.contact_points == [
        Address("a", 9043),
        Address("b", 1),
    ]


def test_what_is_advertised_comes_from_the_older_names_where_the_newer_is_not_set() -> None:
    assert read(HOST_IP="10.0.75.1", DOCKER_IP="10.0.75.2").advertise.host == "10.0.75.1"
    assert read(DOCKER_IP="10.0.75.2").advertise.host == "10.0.75.2"
    assert read(SERVICE_HOST="here", HOST_IP="10.0.75.1").advertise.host == "here"
    assert read().advertise.host is None


def test_etcd_is_looked_for_on_the_docker_host() -> None:
    assert read(DOCKER_IP="10.0.75.2").registry.etcd.members == [Address("10.0.75.2", 2379)]
    assert read(DOCKER_IP="fd00::5").registry.etcd.members == [Address("fd00::5", 2379)]
    assert read(DOCKER_IP="10.0.75.2", ETCD="etcd:2380").registry.etcd.members == [Address("etcd", 2380)]


def test_fixed_lists_are_completed_with_the_well_known_names_and_ports() -> None:
    lists = parse_named_lists(read(STATIC_SERVICES="CommentsService=a,b:1;RatingsService=::1", SERVICE_HOST="here").registry.static)  # fmt: skip
    assert lists["CommentsService"] == "a:8101,b:1"
    assert lists["RatingsService"] == "[::1]:8201"
    assert lists["SearchService"] == "here:8301"
    assert (lists["web"], lists["cassandra"]) == ("here:3000", "here:9042")
    assert parse_named_lists(read().registry.static)["VideoCatalogService"] == "127.0.0.1:8701"


def test_dns_names_are_completed_with_the_short_names() -> None:
    names = parse_named_lists(read(DNS_NAMES="CommentsService=_grpc._tcp.comments").registry.dns.names)
    assert names["CommentsService"] == "_grpc._tcp.comments"
    assert names["SuggestedVideoService"] == "suggested-videos:8501"
    assert "cassandra" not in names


def test_a_certificate_of_cassandra_that_is_not_used_need_not_be_there() -> None:
    assert read(SSL_CERTIFICATE="/nope").cassandra.tls.ca is None


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("CLIENT_CA", "/nope", "KILLRVIDEO_CLIENT_CA names no file: /nope"),
        ("SSL_CLIENT_CERTIFICATE", "/nope", "KILLRVIDEO_SSL_CLIENT_CERTIFICATE and KILLRVIDEO_SSL_CLIENT_KEY go together"),
        ("DSE_CONTACT_POINTS", "a:b", "KILLRVIDEO_DSE_CONTACT_POINTS='a:b'"),
        ("DSE_CONTACT_POINTS", ",", "KILLRVIDEO_DSE_CONTACT_POINTS=','"),
        ("DOCKER_IP", "http://docker", "KILLRVIDEO_DOCKER_IP='http://docker'"),
        ("STATIC_SERVICES", "CommentsService=a:b", "KILLRVIDEO_STATIC_SERVICES='CommentsService=a:b'"),
        ("CASSANDRA_REPLICATION", "{}; DROP", "is not a CQL map"),
        ("CASSANDRA_KEYSPACE", "Bad Name", "KILLRVIDEO_CASSANDRA_KEYSPACE='Bad Name'"),
        ("ETCD", "http://etcd:2379", "KILLRVIDEO_ETCD='http://etcd:2379'"),
        ("ENABLE_SSL", "true", "KILLRVIDEO_ENABLE_SSL needs KILLRVIDEO_SSL_CERTIFICATE"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_one_sentence_with_its_name(name: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        read(**{name: value})
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_missing_certificate_is_told_when_tls_is_on() -> None:
    with pytest.raises(SettingsError, match="KILLRVIDEO_SSL_CERTIFICATE names no file: /nope"):
        read(SSL_CERTIFICATE="/nope", ENABLE_SSL="true")


def test_a_secret_comes_from_a_file_and_is_in_no_text(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("a-paging-key\n")
    settings = read(PAGING_KEY_FILE=str(tmp_path / "key"), DSE_PASSWORD="a-password", DSE_USERNAME="me")
    assert settings.paging_key == "a-paging-key"
    assert settings.cassandra.user == ("me", "a-password")
    assert "a-paging-key" not in repr(settings)
    assert "a-password" not in repr(settings)


def test_a_wrong_setting_ends_a_program_with_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    monkeypatch.setenv("KILLRVIDEO_LATEST_DAYS", "many")
    with pytest.raises(SystemExit) as end:
        Settings.load()
    assert end.value.code == 2
    assert capsys.readouterr().err == "wrong setting KILLRVIDEO_LATEST_DAYS='many': is not a whole number\n"


def test_a_copy_with_other_values_keeps_the_rest() -> None:
    settings = read(DSE_CONTACT_POINTS="a:1", TTL="3").replace(cassandra_keyspace="other")
    assert settings.cassandra.keyspace == "other"
    assert settings.cassandra.contact_points == [Address("a", 1)]
    assert settings.advertise.ttl == 3
