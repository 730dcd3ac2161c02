"""The compose files as docker reads them: `extends` followed. Without docker, so that they are looked at on every machine."""

import os
from pathlib import Path
from typing import Any

import yaml

from infra.layout import ROOT

FILES = {
    path.stem: path
    for path in (ROOT / "compose.yaml", *sorted((ROOT / "deploy").glob("*.yaml")))
    if path.name != "parts.yaml"
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


def _resolved(path: Path, service: Service) -> Service:
    base = service.get("extends")
    if base is None:
        return service
    elsewhere = Path(os.path.normpath(path.parent / base.get("file", path.name)))
    under = _resolved(elsewhere, load(elsewhere)["services"][base["service"]])
    merged = {**under, **service}
    if "environment" in under and "environment" in service:
        merged["environment"] = {**under["environment"], **service["environment"]}
    return merged
