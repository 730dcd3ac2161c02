"""Every compose file, looked at without an engine. That they run is tried by `make containers`."""

import re

import pytest
import yaml

from common.catalogue import SERVICES
from common.settings import PREFIX, Settings
from deploy.entrypoint import COMMANDS, EXAMPLE_PASSWORD
from infra.layout import ROOT
from tests.deploy.compose_files import FILES, Service, load, own, services, setting_names

EACH_FILE = pytest.mark.parametrize("name", FILES)
PORTS = {known.slug: known.port for known in SERVICES.values()}


def by_port(name: str) -> dict[int, Service]:
    """The containers of a file that each run one service, by that service's port."""
    return {
        PORTS[service["command"][0]]: service
        for service in own(FILES[name]).values()
        if service.get("command", [""])[0] in PORTS
    }


def test_a_file_without_a_registry_names_its_services_as_callers_look_them_up() -> None:
    looked_up = {known.host: known.slug for known in SERVICES.values()}
    assert {name: service["command"][0] for name, service in own(FILES["dns"]).items() if name != "schema"} == looked_up


def test_there_is_a_file_for_each_deployment() -> None:
    assert set(FILES) == {"compose", "single", "cloud", "dns", "classic", "cluster"}


@EACH_FILE
def test_every_process_of_ours_has_no_privileges_and_nothing_to_write_on(name: str) -> None:
    for service in own(FILES[name]).values():
        assert service["read_only"] is True
        assert service["tmpfs"] == ["/tmp"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


@EACH_FILE
def test_every_process_of_ours_is_started_by_a_name_that_the_entry_point_knows(name: str) -> None:
    for service in own(FILES[name]).values():
        words = service.get("command") or service["entrypoint"][3:]
        assert words[0] in COMMANDS


@EACH_FILE
def test_every_setting_has_the_name_of_one(name: str) -> None:
    for service in own(FILES[name]).values():
        assert set(service["environment"]) <= setting_names(with_files=True)


@EACH_FILE
def test_all_services_are_there(name: str) -> None:
    commands = [service.get("command", [""])[0] for service in own(FILES[name]).values()]
    assert set(PORTS) <= set(commands) or "supervised" in commands or "all-in-one" in commands


@EACH_FILE
def test_what_is_waited_for_exists_and_can_say_that_it_is_ready(name: str) -> None:
    present = services(FILES[name])
    for service in present.values():
        for needed, condition in service.get("depends_on", {}).items():
            assert needed in present
            if condition["condition"] == "service_healthy":
                assert "healthcheck" in present[needed] or present[needed]["image"].startswith("killrvideo-python")


@EACH_FILE
def test_what_the_files_name_is_what_the_local_engine_and_todays_both_know(name: str) -> None:
    for service in services(FILES[name]).values():
        assert "start_interval" not in service.get("healthcheck", {})
        assert re.search(r":[\w.$\{\}:-]+$", service["image"]), "an image without a tag changes under one's feet"


@EACH_FILE
def test_every_volume_that_is_used_is_declared(name: str) -> None:
    declared = set(load(FILES[name]).get("volumes", {}))
    used = {volume.split(":")[0] for service in services(FILES[name]).values() for volume in service.get("volumes", [])}
    assert {volume for volume in used if not volume.startswith(("$", ".", "/"))} == declared


@pytest.mark.parametrize("name", ["compose", "single", "dns", "cluster"])
def test_a_deployment_for_one_machine_is_open_on_loopback_only(name: str) -> None:
    ports = [port for service in services(FILES[name]).values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("name", ["compose", "cloud", "dns"])
def test_a_service_of_its_own_container_publishes_its_own_port(name: str) -> None:
    for port, service in by_port(name).items():
        (published,) = service["ports"]
        assert published.endswith(f":{port}")
        assert str(port) in published.split(":")[-2]


@pytest.mark.parametrize("name", ["compose", "dns"])
def test_a_service_that_can_be_scaled_takes_its_host_port_from_a_range(name: str) -> None:
    for port, service in by_port(name).items():
        assert service["ports"] == [f"127.0.0.1:{port}-{port + 8}:{port}"]


@EACH_FILE
def test_a_container_is_given_longer_to_stop_than_a_process_takes(name: str) -> None:
    settings = Settings.load()
    for service in own(FILES[name]).values():
        seconds = int(service["stop_grace_period"].removesuffix("s"))
        assert settings.advertise.withdraw_wait + settings.serving.drain + 2 < seconds <= 15


def test_the_cloud_deployment_holds_no_password_and_needs_its_addresses() -> None:
    environment = own(FILES["cloud"])["comments"]["environment"]
    for name in ("SERVICE_HOST", "ETCD", "DSE_CONTACT_POINTS"):
        assert environment[f"{PREFIX}{name}"].startswith(f"${{{PREFIX}{name}:?")
    assert environment["KILLRVIDEO_DSE_PASSWORD"] == "${KILLRVIDEO_DSE_PASSWORD:-}"


def test_the_example_of_the_cloud_settings_names_settings_and_holds_the_password_that_is_refused() -> None:
    known = setting_names(with_files=True) | {"KILLRVIDEO_SECRETS"}
    lines = (ROOT / "deploy/.env.example").read_text(encoding="utf-8").splitlines()
    pairs = dict(line.lstrip("#").split("=", 1) for line in lines if re.match(r"#?KILLRVIDEO_\w+=", line))
    assert set(pairs) <= known
    assert pairs["KILLRVIDEO_DSE_PASSWORD"] == EXAMPLE_PASSWORD
    assert set(pairs) <= {*own(FILES["cloud"])["comments"]["environment"], "KILLRVIDEO_SECRETS"}


def test_the_classic_deployment_gives_the_keys_of_the_article() -> None:
    backend = own(FILES["classic"])["backend"]
    assert backend["environment"]["KILLRVIDEO_INSTANCE"] == "killrvideo-python"
    assert backend["ports"][0].endswith(":8899:8899")
    older = {
        "ETCD",
        "DOCKER_IP",
        "HOST_IP",
        "DSE_CONTACT_POINTS",
        "DSE_USERNAME",
        "DSE_PASSWORD",
        "CASSANDRA_REPLICATION",
        "ENABLE_SSL",
    }
    older |= {"LOGGING_LEVEL", "KAFKA_BOOTSTRAP_SERVERS"}
    assert {f"{PREFIX}{name}" for name in older} <= set(backend["environment"])


def test_the_cluster_keeps_three_copies_and_runs_two_of_each_service() -> None:
    present = services(FILES["cluster"])
    assert "'replication_factor': 3" in present["schema"]["environment"]["KILLRVIDEO_CASSANDRA_REPLICATION"]
    assert all(present[slug]["deploy"] == {"replicas": 2} for slug in PORTS)
    assert len([name for name in present if name.startswith("cassandra")]) == 3
    assert len([name for name in present if name.startswith("etcd")]) == 3


@EACH_FILE
def test_cassandra_syncs_its_commit_log_before_it_acknowledges(name: str) -> None:
    for service in services(FILES[name]).values():
        if service["image"].startswith("cassandra:"):
            assert "./cassandra.yaml:/killrvideo/cassandra.yaml:ro" in service["volumes"]
            assert "cp /killrvideo/cassandra.yaml /etc/cassandra/cassandra.yaml" in service["entrypoint"][-1]
    text = (ROOT / "deploy/cassandra.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text)["commitlog_sync"] in ("batch", "group")
    assert "commitlog_sync_period" not in yaml.safe_load(text)


def test_the_image_can_fill_in_the_addresses_of_cassandra() -> None:
    text = (ROOT / "deploy/cassandra.yaml").read_text(encoding="utf-8")
    edited = (
        "cluster_name",
        "listen_address",
        "broadcast_address",
        "rpc_address",
        "broadcast_rpc_address",
        "endpoint_snitch",
        "num_tokens",
    )
    for setting in edited:
        assert len(re.findall(rf"^(?:# )?{setting}:", text, re.MULTILINE)) == 1, setting
    assert len(re.findall(r"- seeds:", text)) == 1
