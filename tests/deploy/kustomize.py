"""As much of `kubectl kustomize` as our manifests use, so that what a cluster would get can be looked at without one.

`python -m tests.deploy.kustomize FOLDER ...` holds every object of the folders against Kubernetes' strict schemas (requirements-ci.txt).
"""

import sys
from pathlib import Path
from typing import Any

import yaml

KUBERNETES = "1.37"

Object = dict[str, Any]

KNOWN = {"apiVersion", "kind", "resources", "namePrefix", "labels", "patches", "namespace", "images"}


def build(folder: Path) -> list[Object]:
    """The objects of a folder's kustomization.yaml, with those that it builds upon."""
    wanted = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    unknown = set(wanted) - KNOWN
    assert not unknown, f"{folder}: not understood here: {unknown}"
    objects: list[Object] = []
    for resource in wanted["resources"]:
        path = folder / resource
        objects += build(path) if path.is_dir() else [yaml.safe_load(path.read_text(encoding="utf-8"))]
    for patch in wanted.get("patches", []):
        target = patch["target"]
        found = [
            thing
            for thing in objects
            if thing["kind"] == target["kind"] and target.get("name") in (None, thing["metadata"]["name"])
        ]
        assert found, f"{folder}: nothing to patch: {target}"
        for thing in found:
            for change in yaml.safe_load(patch["patch"]):
                _change(thing, change)
    for thing in objects:
        _finish(thing, wanted)
    return objects


def _change(thing: Object, change: dict[str, Any]) -> None:
    """One step of a JSON patch. A key that is replaced or removed must be there."""
    *way, last = (step.replace("~1", "/") for step in change["path"].strip("/").split("/"))
    place: Any = thing
    for step in way:
        place = place[int(step) if isinstance(place, list) else step]
    key = int(last) if isinstance(place, list) else last
    if change["op"] != "add":
        del place[key]
    if change["op"] != "remove":
        if isinstance(place, list):
            place.insert(key, change["value"])
        else:
            place[key] = change["value"]


def _finish(thing: Object, wanted: Object) -> None:
    """What a kustomization does to each of its objects: name, labels, namespace, image."""
    prefix = wanted.get("namePrefix", "")
    thing["metadata"]["name"] = prefix + thing["metadata"]["name"]
    spec = thing.get("spec", {})
    if "scaleTargetRef" in spec:
        spec["scaleTargetRef"]["name"] = prefix + spec["scaleTargetRef"]["name"]
    for label in wanted.get("labels", []):
        assert label["includeSelectors"]
        assert label["includeTemplates"]
        for labelled in _labelled(thing):
            labelled.update(label["pairs"])
    if "namespace" in wanted and thing["kind"] != "Namespace":
        thing["metadata"]["namespace"] = wanted["namespace"]
    for image in wanted.get("images", []):
        for container in _pod(thing).get("containers", []):
            if container["image"] == image["name"]:
                container["image"] = f"{image['name']}:{image['newTag']}"


def _labelled(thing: Object) -> list[dict[str, str]]:
    """Where an object holds labels: its own, its pods', and those by which it selects pods."""
    spec = thing.get("spec", {})
    places = [thing["metadata"].setdefault("labels", {})]
    if thing["kind"] == "Service":
        places.append(spec.setdefault("selector", {}))
    if thing["kind"] == "Deployment":
        places.append(spec.setdefault("selector", {}).setdefault("matchLabels", {}))
    if thing["kind"] == "PodDisruptionBudget":
        places.append(spec["selector"]["matchLabels"])
    if "template" in spec:
        places.append(spec["template"]["metadata"]["labels"])
    places += [rule["labelSelector"]["matchLabels"] for rule in _pod(thing).get("topologySpreadConstraints", [])]
    return places


def _pod(thing: Object) -> Object:
    pod: Object = thing.get("spec", {}).get("template", {}).get("spec", {})
    return pod


def main() -> None:
    """Hold the objects of the folders named on the command line against the schemas; ends with an exception at the first that differs."""
    import kubernetes_validate

    for folder in sys.argv[1:]:
        objects = build(Path(folder))
        for thing in objects:
            kubernetes_validate.validate(thing, KUBERNETES, strict=True)
        print(f"{folder}: {len(objects)} objects as the schemas of Kubernetes {KUBERNETES} want them")


if __name__ == "__main__":
    main()
