"""The compose files as docker reads them: `extends` followed. Without docker, so that they are looked at on every machine."""

import os
from pathlib import Path
from typing import Any

import yaml
from pydantic.fields import FieldInfo

from common.settings import PREFIX, Settings
from grpc_discovery.environment import leaves, variable_of
from infra.layout import ROOT

FILES = {
    path.stem: path
    for path in (ROOT / "compose.yaml", *sorted((ROOT / "deploy").glob("*.yaml")))
    if path.name not in ("parts.yaml", "cassandra.yaml")
}
IMAGE = "killrvideo-python:${KILLRVIDEO_TAG:-latest}"

Service = dict[str, Any]


def load(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(content, dict), path
    return content


def services(path: Path) -> dict[str, Service]:
    """The services of a file, each with what it extends laid under it."""
    return {name: _resolved(path, service) for name, service in load(path)["services"].items()}


def own(path: Path) -> dict[str, Service]:
    """Those of them that run the project's image."""
    return {name: service for name, service in services(path).items() if service["image"] == IMAGE}


def setting_names(*, with_files: bool = False) -> set[str]:
    """The environment variables of all settings; with those that name a secret's file, where asked for."""
    fields = [field for _, field in leaves(Settings)]
    names = {f"{PREFIX}{variable_of(field)}" for field in fields}
    if with_files:
        names |= {f"{PREFIX}{variable_of(field)}_FILE" for field in fields if _is_secret(field)}
    return names


def _is_secret(field: FieldInfo) -> bool:
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("secret_file"))


def _resolved(path: Path, service: Service) -> Service:
    base = service.get("extends")
    if base is None:
        return service
    elsewhere = Path(os.path.normpath(path.parent / base.get("file", path.name)))
    under = _resolved(elsewhere, load(elsewhere)["services"][base["service"]])
    merged = {**under, **service}
    if "environment" in under and "environment" in service:
        merged["environment"] = {**under["environment"], **service["environment"]}
    if "volumes" in under and "volumes" in service:
        merged["volumes"] = [*under["volumes"], *service["volumes"]]
    return merged
