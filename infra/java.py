"""The machine's Java, which Cassandra runs on. Standard library only."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from infra.errors import InfraError

JAVA_VERSION = 17
DEBIAN_JAVA = "`apt-get install openjdk-17-jdk-headless`"


def find_java() -> Path:
    """A Java 17: that of JAVA_HOME, else the one in PATH. Raises InfraError naming what there is instead."""
    home = os.environ.get("JAVA_HOME")
    program = f"{home}/bin/java" if home else shutil.which("java")
    if program is None or not Path(program).exists():
        where = f" in JAVA_HOME ({home})" if home else ""
        raise InfraError(f"there is no Java{where}, and Cassandra needs Java {JAVA_VERSION}: on Debian {DEBIAN_JAVA}")
    try:
        said = subprocess.run(
            [program, "-version"], capture_output=True, text=True, errors="replace", check=False
        ).stderr
    except OSError:  # a file that is no program, or a program for another machine
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
