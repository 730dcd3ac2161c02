"""A process with settings that cannot be used, or without a package that they need, ends with 2 and a sentence for each, and nothing else."""

from pathlib import Path

import pytest

from discovery.tests.missing import without
from discovery.tests.processes.greeters import GreeterProcess
from infra.etcd import Etcd

WRONG = [
    ("DISCOVERY", "etc", "GREETER_DISCOVERY='etc': must be one of 'auto', "),
    ("TTL", "0.1", "GREETER_TTL='0.1': "),
    ("ETCD", "etcd:many", "GREETER_ETCD='etcd:many': "),
    ("REGISTRY_ROOT", "services", "GREETER_REGISTRY_ROOT='services': "),
    ("LISTEN_HOST", "a b", "GREETER_LISTEN_HOST='a b': "),
    ("ETCD_CA", "/no/such", "GREETER_ETCD_CA names no file: /no/such"),
]


def ends_with_2_and_says(process: GreeterProcess) -> list[str]:
    process.start()
    try:
        assert process.wait_end(10) == 2, process.log_end()
    finally:
        process.kill()
    return process.log_text().splitlines()


def test_each_wrong_setting_has_its_sentence(tmp_path: Path) -> None:
    lines = ends_with_2_and_says(GreeterProcess(tmp_path, {name: value for name, value, _ in WRONG}))
    assert len(lines) == len(WRONG)
    for name, _, says in WRONG:
        assert any(says in line for line in lines), f"{name}: {lines}"


@pytest.mark.parametrize("kind", ["etcd-v2", "etcd-v3", "auto"])
def test_a_file_that_holds_no_certificate_is_named(kind: str, tmp_path: Path) -> None:
    wrong = tmp_path / "ca.pem"
    wrong.write_text("no certificate")
    [line] = ends_with_2_and_says(GreeterProcess(tmp_path, {"ETCD_CA": str(wrong), "DISCOVERY": kind}))
    assert line.startswith(f"the TLS files for etcd cannot be used ({wrong}): ")


@pytest.mark.parametrize("name", ["pod#1", "a/b", "_x", "..", "a b"])
def test_a_name_that_cannot_be_one_of_an_instance_is_named(name: str, tmp_path: Path) -> None:
    [line] = ends_with_2_and_says(GreeterProcess(tmp_path, {"INSTANCE": name}))
    assert line.startswith(f"wrong setting GREETER_INSTANCE={name!r}: is no name of an instance ")


@pytest.mark.parametrize(
    ("package", "settings", "says"),
    [
        ("etcd", {"DISCOVERY": "etcd-v2"}, "grpc-discovery[etcd-v2]"),
        ("dns", {"DISCOVERY": "dns", "DNS_NAMES": "Other=other.example"}, "grpc-discovery[dns]"),
    ],
)
def test_the_extra_whose_package_is_missing_is_named(
    package: str, settings: dict[str, str], says: str, etcd: Etcd, tmp_path: Path
) -> None:
    settings = {"ETCD": etcd.address, **settings}
    [line] = ends_with_2_and_says(GreeterProcess(tmp_path, settings, python_path=without(package, tmp_path)))
    assert says in line
