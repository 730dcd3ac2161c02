"""Sets up what is missing: the virtual environment, with the library in discovery/ installed from its folder, and Cassandra's jars.

Each is whole or not there: what an interrupted set-up left is made anew. Standard library only: this is what makes the rest available.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from infra.errors import InfraError
from infra.layout import CASSANDRA_JARS, CASSANDRA_VERSION, LAYOUT, LOCAL, PYTHON, ROOT, VENV

JAVA_VERSION = 17
FREE_MB = 1200
REQUIREMENTS = (ROOT / "requirements.txt", ROOT / "requirements-dev.txt")
LIBRARY = ROOT / "discovery"
DEBIAN_JAVA = "`apt-get install openjdk-17-jdk-headless`"

# As pip and Maven say it.
_NO_ANSWER = re.compile(
    r"Retrying \(Retry|Unknown host|No plugin found for prefix|Connection refused|Network is unreachable|onnect timed out"
)


def set_up() -> None:
    """Make everything that is missing; says nothing when nothing is."""
    with one_at_a_time():
        set_up_environment()
        set_up_cassandra()


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Check .local/ and keep other set-ups waiting meanwhile."""
    check_local()
    with (LOCAL / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another set-up is under way in this checkout; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def check_local() -> None:
    """Make .local/ if it is not there; raise InfraError if it is of another version."""
    version = LOCAL / "version"
    if not LOCAL.exists() or not any(LOCAL.iterdir()):
        LOCAL.mkdir(parents=True, exist_ok=True)
        version.write_text(f"{LAYOUT}\n", encoding="utf-8")
    found = version.read_text(encoding="utf-8").strip() if version.exists() else "unknown"
    if found != LAYOUT:
        raise InfraError(
            f"{LOCAL} was made by another version of this project (layout {found}, this one needs {LAYOUT}): "
            "`make clean` removes it with its data, the next command makes it anew"
        )


def remove_local() -> None:
    """Remove .local/ with all that is in it; raise InfraError where it is in use or was not made by us."""
    if LOCAL.exists():
        if LOCAL != ROOT / ".local" and not (LOCAL / "version").exists():
            raise InfraError(f"{LOCAL} was not made by this project, so nothing was removed")
        with (LOCAL / "setup.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InfraError("a set-up is under way in this checkout: let it end first") from None
            shutil.rmtree(LOCAL)
    say(f"removed {LOCAL}")


def environment_is_ready() -> bool:
    """Whether the virtual environment is whole and holds the requirements of today."""
    marker = VENV / "complete"
    return PYTHON.exists() and marker.exists() and marker.read_text(encoding="utf-8") == _requirements_digest()


def set_up_environment() -> None:
    """The virtual environment with the pinned requirements and the library."""
    if environment_is_ready():
        return
    require_space(FREE_MB)
    marker = VENV / "complete"
    if marker.exists():
        # The requirements have changed: pip brings the environment up to date. Without the marker one cannot know what is half there.
        marker.unlink()
    else:
        shutil.rmtree(VENV, ignore_errors=True)
        say(f"virtual environment: {VENV}")
        _run(
            [sys.executable, "-m", "venv", str(VENV)],
            "the virtual environment could not be made; on Debian: `apt-get install python3-venv`",
        )
    pinned = sum(1 for path in REQUIREMENTS for line in path.read_text(encoding="utf-8").splitlines() if "==" in line)
    progress = Progress("Python packages", pinned)

    def follow(line: str) -> None:
        if found := re.match(r"(?:Collecting|Requirement already satisfied:) ([\w.-]+)", line):
            progress.step(found[1])
        elif line.startswith("Installing collected"):
            progress.end("fetched, installing")

    install = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    _run([*install, "-r", str(REQUIREMENTS[-1])], "pip failed", follow)
    # Editable, so that a change of its code takes effect at once. What it depends on, and what builds it, is among the pinned.
    _run(
        [*install, "--no-deps", "--no-build-isolation", "--editable", str(LIBRARY)],
        "pip could not install the library of discovery/",
    )
    progress.end("installed")
    _write(marker, _requirements_digest())


def set_up_cassandra() -> None:
    """Cassandra's jars, fetched by Maven into a folder that takes its name only when it is whole."""
    home = CASSANDRA_JARS.parent
    if _jars_are_whole(home):
        return
    java = find_java()
    maven = _find_maven()
    require_space(FREE_MB)
    partial = home.with_name(f"{home.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    progress = Progress(f"Cassandra {CASSANDRA_VERSION}", None)

    def follow(line: str) -> None:
        if found := re.search(r"Downloaded from \S+ \S+/([^/ ]+\.jar)", line):
            progress.step(found[1])

    progress.step("Maven looks what is needed")
    _run(
        [
            maven,
            "-B",
            "-f",
            str(ROOT / "infra" / "pom.xml"),
            "dependency:copy-dependencies",
            f"-DoutputDirectory={partial / 'jars'}",
        ],
        "Maven could not fetch Cassandra's jars",
        follow,
        {"JAVA_HOME": str(java.parent.parent)},
    )
    jars = sorted((partial / "jars").glob("*.jar"))
    for jar in jars:
        _require_whole(jar)
    _write(partial / "complete", json.dumps({jar.name: jar.stat().st_size for jar in jars}, indent=0))
    shutil.rmtree(home, ignore_errors=True)
    partial.replace(home)
    progress.end(f"{len(jars)} jars in {home}")


def check_tools() -> None:
    """Raise InfraError if Java or (where it is still needed) Maven is missing: before the minutes that the rest takes."""
    find_java()
    if not _jars_are_whole(CASSANDRA_JARS.parent):
        _find_maven()


def _find_maven() -> str:
    maven = shutil.which("mvn")
    if maven is None:
        raise InfraError("Maven is not installed, and it fetches Cassandra's jars: on Debian `apt-get install maven`")
    return maven


def find_java() -> Path:
    """A Java 17: that of JAVA_HOME, else the one in PATH. Raises InfraError saying what there is instead."""
    home = os.environ.get("JAVA_HOME")
    program = f"{home}/bin/java" if home else shutil.which("java")
    if program is None or not Path(program).exists():
        where = f" in JAVA_HOME ({home})" if home else ""
        raise InfraError(f"there is no Java{where}, and Cassandra needs Java {JAVA_VERSION}: on Debian {DEBIAN_JAVA}")
    try:
        said = subprocess.run(
            [program, "-version"], capture_output=True, text=True, errors="replace", check=False
        ).stderr
    except OSError:  # a file that is no program, or another machine's
        said = ""
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    if found is None or int(found[1]) != JAVA_VERSION:
        version = (
            f"Java {found[1]}, too {'old' if int(found[1]) < JAVA_VERSION else 'new'}" if found else "no Java that runs"
        )
        raise InfraError(
            f"Cassandra needs Java {JAVA_VERSION}, and {program} is {version}: on Debian {DEBIAN_JAVA}, then set JAVA_HOME if it is not the first in PATH"
        )
    return Path(program).resolve()


class Progress:
    """How far a long step is: one line that is written over in a terminal, a line now and then elsewhere."""

    def __init__(self, title: str, total: int | None) -> None:
        self._title = title
        self._total = total
        self._done = -1 if total is None else 0  # without a total the first step is the announcement

    def step(self, what: str) -> None:
        """One more is begun."""
        self._done += 1
        count = f"{min(self._done, self._total)} of {self._total}" if self._total else f"{self._done} fetched"
        line = f"{self._title}: {count}, {what}"
        if sys.stdout.isatty():
            print(f"\r\033[K{line[: shutil.get_terminal_size().columns - 1]}", end="", flush=True)
        elif self._done % 20 == (0 if self._total is None else 1):
            say(line)

    def end(self, what: str) -> None:
        """The step is done."""
        if sys.stdout.isatty():
            print("\r\033[K", end="")
        say(f"{self._title}: {what}")


def say(line: str) -> None:
    """A line for the person, at once."""
    print(line, flush=True)


def in_a_sentence(error: OSError) -> str | None:
    """What a person can do about the error; None for one that is not of his making."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return str(full_disk())
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"{error.filename}: {error.strerror}; this user must be able to write there. If an earlier command ran as root, "
            f"`sudo make clean` removes what it left"
        )
    return None


def full_disk() -> InfraError:
    """The sentence for a full disk."""
    return InfraError(
        f"the disk of {LOCAL} is full ({free_mb()} MB free): make room and repeat the command; it goes on where it is safe to"
    )


def _run(
    command: list[str],
    failure: str,
    follow: Callable[[str], None] | None = None,
    environment: dict[str, str] | None = None,
) -> None:
    """Run a step of the set-up to its end, giving each line to `follow`; all of it ends at once when we are interrupted or killed."""
    lines: list[str] = []
    with subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, **(environment or {})},
        start_new_session=True,
    ) as child:
        try:
            for line in child.stdout or ():
                if _NO_ANSWER.search(line) and not any(map(_NO_ANSWER.search, lines)):
                    say("the network does not answer; trying on")
                lines.append(line.rstrip())
                if follow:
                    follow(line)
            code = child.wait()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            raise
    if code:
        if any("No space left on device" in line for line in lines):
            raise full_disk()
        if any(map(_NO_ANSWER.search, lines)):
            failure = f"{failure}, because the network did not answer"
        # What Maven says after that is how to debug Maven.
        wrong = [
            line
            for line in lines
            if "ERROR" in line and not re.match(r"\[ERROR\] *($|To see|Re-run|For more|\[Help)", line)
        ] or lines
        raise InfraError(f"{failure}:\n" + "\n".join(wrong[:8]))


def require_space(needed_mb: int) -> None:
    """Raise InfraError if the disk of .local/ has less room."""
    if free_mb() < needed_mb:
        raise InfraError(
            f"only {free_mb()} MB are free on the disk of {LOCAL}, and {needed_mb} MB are needed: make room"
        )


def free_mb() -> int:
    """What is free on the disk of .local/."""
    return shutil.disk_usage(LOCAL).free // 1_000_000


def _jars_are_whole(home: Path) -> bool:
    """Whether every jar that the set-up listed is there in its full size."""
    try:
        sizes: dict[str, int] = json.loads((home / "complete").read_text(encoding="utf-8"))
        return bool(sizes) and all((home / "jars" / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def _require_whole(jar: Path) -> None:
    try:
        with zipfile.ZipFile(jar) as archive:
            damaged = archive.testzip()
    except zipfile.BadZipFile:
        damaged = "the whole"
    if damaged:
        raise InfraError(
            f"{jar.name} came damaged out of Maven's own store: delete it below ~/.m2/repository and repeat the command"
        )


def _requirements_digest() -> str:
    """Of all that decides what the environment holds; the library's folder too, because a checkout that was moved has it elsewhere."""
    digest = hashlib.sha256(sys.version.split()[0].rpartition(".")[0].encode())
    digest.update(str(LIBRARY).encode())
    for path in (*REQUIREMENTS, LIBRARY / "pyproject.toml"):
        digest.update(path.read_bytes())
    return digest.hexdigest() + "\n"


def _write(path: Path, text: str) -> None:
    """Write a file that is there whole or not at all."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
