"""Cassandra's jars: fetched by Maven, complete or not there. Standard library only."""

import json
import re
import shutil
import zipfile
from pathlib import Path

from infra.errors import InfraError
from infra.java import find_java
from infra.layout import CASSANDRA_JARS, CASSANDRA_VERSION, ROOT
from infra.local import require_space, write_whole
from infra.progress import Progress
from infra.steps import run_step

FREE_MB = 1200
"""Room for the jars, in Maven's own store and here, and for the first start."""


def set_up_cassandra() -> None:
    """Fetch Cassandra's jars where they are not complete. The folder gets its name only when they are."""
    home = CASSANDRA_JARS.parent
    if jars_are_whole(home):
        return
    java = find_java()
    maven = _find_maven()
    require_space(FREE_MB)
    partial = home.with_name(f"{home.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    progress = Progress(f"Cassandra {CASSANDRA_VERSION}", None)
    progress.step("Maven looks up what is needed")
    _fetch(maven, java, partial / "jars", progress)
    jars = sorted((partial / "jars").glob("*.jar"))
    for jar in jars:
        _require_whole(jar)
    write_whole(partial / "complete", json.dumps({jar.name: jar.stat().st_size for jar in jars}, indent=0))
    shutil.rmtree(home, ignore_errors=True)
    partial.replace(home)
    progress.end(f"{len(jars)} jars in {home}")


def check_tools() -> None:
    """Raise InfraError if Java or (where it is still needed) Maven is missing: before the rest of the set-up takes minutes."""
    find_java()
    if not jars_are_whole(CASSANDRA_JARS.parent):
        _find_maven()


def jars_are_whole(home: Path) -> bool:
    """Whether every jar that the set-up listed in `home` is there in its full size."""
    try:
        sizes: dict[str, int] = json.loads((home / "complete").read_text(encoding="utf-8"))
        return bool(sizes) and all((home / "jars" / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def _find_maven() -> str:
    maven = shutil.which("mvn")
    if maven is None:
        raise InfraError("Maven is not installed, and it fetches Cassandra's jars: on Debian `apt-get install maven`")
    return maven


def _fetch(maven: str, java: Path, target: Path, progress: Progress) -> None:
    """Let Maven copy the jars of infra/pom.xml, and what they depend on, to `target`."""

    def follow(line: str) -> None:
        if found := re.search(r"Downloaded from \S+ \S+/([^/ ]+\.jar)", line):
            progress.step(found[1])

    pom = ["-f", str(ROOT / "infra" / "pom.xml")]
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={target}"]
    environment = {"JAVA_HOME": str(java.parent.parent)}
    run_step([maven, "-B", *pom, *goal], "Maven could not fetch Cassandra's jars", follow, environment)


def _require_whole(jar: Path) -> None:
    try:
        with zipfile.ZipFile(jar) as archive:
            damaged = archive.testzip()
    except zipfile.BadZipFile:
        damaged = "all of it"
    if damaged:
        raise InfraError(
            f"{jar.name} came damaged out of Maven's own store: delete it below ~/.m2/repository and repeat the command"
        )
