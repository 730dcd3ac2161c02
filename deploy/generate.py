"""Writes what follows from the catalogue and the settings into the files that need it: `make generate`, after a line of either has changed.

    python -m deploy.generate            write the files that differ
    python -m deploy.generate --check    write nothing; name the files that differ and exit 1

Some files are generated whole; in others the generated part stands between two marks, and the rest is written by hand.
"""

import re
import sys
from pathlib import Path

from common.catalogue import SERVICES
from deploy import alerts, dashboard, templates
from deploy.settings_table import settings_tables
from infra import supervisord_conf
from infra.layout import ROOT

BEGIN = "# Begin: written by `make generate` from common/catalogue.py; edit that."
END = "# End of what `make generate` writes."
BEGIN_TABLE, END_TABLE = "<!-- settings -->", "<!-- end of settings -->"


class MarksMissing(Exception):
    """A file does not hold exactly one place for its generated part."""


def whole_files() -> dict[str, str]:
    """The files that are generated whole, by their paths in the checkout: what they should hold."""
    files = {"supervisord.conf": supervisord_conf.render(), "client/stubs.py": templates.client_stubs()}
    files |= {
        "deploy/observability/prometheus.yml": alerts.prometheus("127.0.0.1"),
        "deploy/observability/prometheus-containers.yml": alerts.prometheus("sd"),
        "deploy/observability/rules.yml": alerts.rules(),
        "deploy/observability/grafana/dashboards/killrvideo.json": dashboard.dashboard(),
    }
    for known in SERVICES.values():
        files |= {
            f"services/{known.slug}/__init__.py": templates.package_init(known),
            f"services/{known.slug}/__main__.py": templates.package_main(known),
            f"deploy/kubernetes/services/{known.host}/kustomization.yaml": templates.kustomization(known),
        }
    return files


def marked_parts() -> dict[str, str]:
    """The files of which a part is generated, by their paths in the checkout: what should stand between the marks."""
    return {
        "compose.yaml": templates.desktop(),
        "deploy/cloud.yaml": templates.cloud(),
        "deploy/cluster.yaml": templates.cluster(),
        "deploy/dns.yaml": templates.dns(),
        "deploy/observability/compose.yaml": templates.observed(),
        "deploy/single.yaml": templates.single_ports(),
        "deploy/kubernetes/dns/kustomization.yaml": templates.kustomized_services(),
        "deploy/kubernetes/dns/settings.yaml": templates.kubernetes_names(),
        "Dockerfile": templates.exposed_ports(),
    }


def with_part(text: str, part: str, begin: str = BEGIN, end: str = END) -> str:
    """`text` with `part` between its marks. Raises MarksMissing unless there is exactly one pair of them."""
    block = re.compile(rf"(^ *{re.escape(begin)}\n).*?(^ *{re.escape(end)}\n)", re.MULTILINE | re.DOTALL)
    changed, count = block.subn(lambda marks: f"{marks[1]}{part}{marks[2]}", text)
    if count != 1:
        raise MarksMissing(f"there must be one pair of marks, and there are {count}:\n{begin}\n{end}")
    return changed


def expected(root: Path) -> dict[Path, str]:
    """What every generated file below `root` should hold. Raises MarksMissing, which names the file."""
    files = {root / name: text for name, text in whole_files().items()}
    parts = [(name, part, BEGIN, END) for name, part in marked_parts().items()]
    parts += [(name, table, BEGIN_TABLE, END_TABLE) for name, table in settings_tables().items()]
    for name, *part in parts:
        try:
            files[root / name] = with_part((root / name).read_text(encoding="utf-8"), *part)
        except MarksMissing as error:
            raise MarksMissing(f"{name}: {error}") from None
    return files


def differing(root: Path) -> dict[Path, str]:
    """Those of them that do not hold it, or are not there."""
    return {
        path: text
        for path, text in expected(root).items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    }


def left_over(root: Path) -> list[Path]:
    """Generated folders of services that the catalogue does not have."""
    hosts = {known.host for known in SERVICES.values()}
    return sorted(path for path in (root / "deploy/kubernetes/services").iterdir() if path.name not in hosts)


def main() -> None:
    """Write the generated files, or with --check compare them with what is there."""
    try:
        stale, superfluous = differing(ROOT), left_over(ROOT)
    except MarksMissing as error:
        sys.exit(str(error))
    if sys.argv[1:] == ["--check"]:
        if stale:
            names = ", ".join(str(path.relative_to(ROOT)) for path in stale)
            print(
                f"not what follows from the catalogue and the settings, run `make generate`: {names}", file=sys.stderr
            )
    else:
        for path, text in stale.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
        stale = {}
    for path in superfluous:
        print(f"{path.relative_to(ROOT)} belongs to no service of the catalogue: delete it", file=sys.stderr)
    if stale or superfluous:
        sys.exit(1)
    print("what follows from the catalogue and the settings is current")


if __name__ == "__main__":
    main()
