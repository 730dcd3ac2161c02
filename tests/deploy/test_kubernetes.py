"""The Kubernetes manifests, as far as they can be looked at without a cluster: that they agree with the services and with each other.

Kubernetes' own schemas are asked by `python -m tests.deploy.kustomize`, in .ci/run.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.catalogue import SERVICES, KnownService
from common.settings import Settings
from grpc_discovery.settings import METRICS_PORT_OFFSET
from infra.layout import ROOT
from tests.deploy.compose_files import setting_names
from tests.deploy.kustomize import Object, build

FOLDER = ROOT / "deploy/kubernetes"
EACH_SERVICE = pytest.mark.parametrize("known", SERVICES.values(), ids=lambda known: known.slug)
EACH_DEPLOYMENT = pytest.mark.parametrize("name", ["dns", "etcd"])
EACH_POD = pytest.mark.parametrize("path", ["service/deployment.yaml", "dns/schema.yaml"])


def load(path: str) -> dict[str, Any]:
    content = yaml.safe_load((FOLDER / path).read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def test_every_manifest_parses_and_says_what_it_is() -> None:
    paths = sorted(FOLDER.rglob("*.yaml"))
    assert len(paths) > len(SERVICES)
    for path in paths:
        assert {"apiVersion", "kind"} <= set(load(str(path.relative_to(FOLDER))))


def test_every_resource_that_is_named_exists() -> None:
    for path in FOLDER.rglob("kustomization.yaml"):
        for resource in yaml.safe_load(path.read_text(encoding="utf-8"))["resources"]:
            assert (path.parent / resource).exists()


def labels_of(pods: Object) -> set[tuple[str, str]]:
    return set(pods["metadata"]["labels"].items())


@EACH_DEPLOYMENT
def test_whatever_selects_pods_selects_those_of_one_service(name: str) -> None:
    objects = build(FOLDER / name)
    pods = [thing["spec"]["template"] for thing in objects if thing["kind"] in ("Deployment", "Job")]
    selectors = [thing["spec"]["selector"] for thing in objects if "selector" in thing.get("spec", {})]
    for template in pods:
        selectors += [rule["labelSelector"] for rule in template["spec"].get("topologySpreadConstraints", [])]
    assert len(selectors) == 5 * len(SERVICES)
    for selector in selectors:
        wanted = set(selector.get("matchLabels", selector).items())
        assert len([template for template in pods if wanted <= labels_of(template)]) == 1


@EACH_DEPLOYMENT
def test_every_autoscaler_scales_a_deployment_that_exists(name: str) -> None:
    objects = build(FOLDER / name)
    deployments = {thing["metadata"]["name"] for thing in objects if thing["kind"] == "Deployment"}
    scaled = [
        thing["spec"]["scaleTargetRef"]["name"] for thing in objects if thing["kind"] == "HorizontalPodAutoscaler"
    ]
    assert len(scaled) == len(SERVICES)
    assert set(scaled) == deployments


def test_the_two_deployments_differ_in_how_services_are_found_alone() -> None:
    by_dns, by_etcd = build(FOLDER / "dns"), build(FOLDER / "etcd")
    different = [one["metadata"]["name"] for one, other in zip(by_dns, by_etcd, strict=True) if one != other]
    assert different == ["settings"]
    (settings,) = (thing["data"] for thing in by_etcd if thing["kind"] == "ConfigMap")
    assert settings["KILLRVIDEO_DISCOVERY"] == "etcd"
    assert "KILLRVIDEO_DNS_NAMES" not in settings
    assert set(settings) <= setting_names()


def test_all_services_are_deployed() -> None:
    named = {Path(resource).name for resource in load("dns/kustomization.yaml")["resources"] if "services/" in resource}
    assert named == {known.host for known in SERVICES.values()}


@EACH_SERVICE
def test_a_service_runs_by_its_name_and_is_asked_on_its_port(known: KnownService) -> None:
    overlay = load(f"services/{known.host}/kustomization.yaml")
    changes = {
        change["path"]: change["value"] for patch in overlay["patches"] for change in yaml.safe_load(patch["patch"])
    }
    assert changes.pop("/spec/template/spec/containers/0/args/0") == known.slug
    assert changes.pop("/spec/template/spec/containers/0/ports/1/containerPort") == known.port + METRICS_PORT_OFFSET
    annotated = changes.pop("/spec/template/metadata/annotations/prometheus.io~1port")
    assert annotated == str(known.port + METRICS_PORT_OFFSET)
    assert set(changes.values()) == {known.port}
    asked = {path.split("/")[-3] for path in changes if path.endswith("/grpc/port")}
    assert asked == {"startupProbe", "readinessProbe", "livenessProbe"}


@EACH_SERVICE
def test_a_caller_finds_a_service_by_the_name_that_its_manifest_gives(known: KnownService) -> None:
    name = f"{known.host}-{load('service/service.yaml')['metadata']['name']}"
    settings = load("dns/settings.yaml")["data"]
    assert f"{known.name}={name}:{known.port}" in settings["KILLRVIDEO_DNS_NAMES"].split(";")


@EACH_DEPLOYMENT
def test_only_meant_callers_reach_a_pod_and_a_pod_reaches_what_it_needs(name: str) -> None:
    objects = build(FOLDER / name)
    (policy,) = (thing["spec"] for thing in objects if thing["kind"] == "NetworkPolicy")
    wanted = set(policy["podSelector"]["matchLabels"].items())
    pods = [thing["spec"]["template"] for thing in objects if thing["kind"] in ("Deployment", "Job")]
    assert all(wanted <= labels_of(template) for template in pods)
    assert all(ingress["from"] for ingress in policy["ingress"])
    assert [port["port"] for ingress in policy["ingress"] for port in ingress["ports"]] == ["grpc", "metrics"]
    (egress,) = policy["egress"]
    assert {port["port"] for port in egress["ports"]} == {53, 9042, 2379}
    deployments = [thing["spec"]["template"]["spec"] for thing in objects if thing["kind"] == "Deployment"]
    assert all([port["name"] for port in pod["containers"][0]["ports"]] == ["grpc", "metrics"] for pod in deployments)


def test_every_setting_has_the_name_of_one() -> None:
    assert set(load("dns/settings.yaml")["data"]) <= setting_names()


@EACH_POD
def test_a_pod_has_no_privileges_and_nothing_to_write_on(path: str) -> None:
    pod = load(path)["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in container["resources"]["limits"]


def test_a_pod_is_given_longer_to_stop_than_it_takes() -> None:
    pod = load("service/deployment.yaml")["spec"]["template"]["spec"]
    command = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    before = float(json.dumps(command).split("sleep(")[1].split(")")[0])
    settings = Settings.load()
    assert before + settings.advertise.withdraw_wait + settings.serving.drain + 2 < pod["terminationGracePeriodSeconds"]


def test_readiness_follows_the_database_and_liveness_does_not() -> None:
    container = load("service/deployment.yaml")["spec"]["template"]["spec"]["containers"][0]
    assert "service" not in container["readinessProbe"]["grpc"]
    assert container["livenessProbe"]["grpc"]["service"] == "liveness"


def test_a_rollout_and_a_drained_machine_leave_instances_serving() -> None:
    assert load("service/deployment.yaml")["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert load("service/disruption.yaml")["spec"]["maxUnavailable"] == 1
    assert load("service/autoscaler.yaml")["spec"]["minReplicas"] >= 2
    spread = load("service/deployment.yaml")["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert [constraint["topologyKey"] for constraint in spread] == [
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    ]
