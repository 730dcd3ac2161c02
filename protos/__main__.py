"""Generates the Python code and its type stubs from the .proto files, beside them.

`python -m protos` writes; `python -m protos --check` writes nothing and fails when the committed code is not what would be written.
"""

import os
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

HERE = Path(__file__).parent
ROOT = HERE.parent


def generate(target: Path) -> None:
    """Run protoc over every .proto file of this folder; the generated files land in `target`/protos."""
    sources = sorted(HERE.glob("*.proto"))
    with_services = [path for path in sources if "\nservice " in path.read_text()]
    protoc_run([f"--python_out={target}", f"--mypy_out=quiet:{target}"], sources)
    protoc_run(
        [f"--grpc_python_out={target}", f"--mypy_grpc_out=quiet,generate_concrete_servicer_stubs:{target}"],
        with_services,
    )


def protoc_run(outputs: list[str], sources: list[Path]) -> None:
    """One run of protoc; ends the program with protoc's own exit code when it fails."""
    includes = [f"-I{ROOT}", f"-I{files('grpc_tools') / '_proto'}"]
    outcome = protoc.main(["protoc", *includes, *outputs, *(str(path.relative_to(ROOT)) for path in sources)])
    if outcome != 0:
        raise SystemExit(outcome)


def differences(fresh: Path) -> list[str]:
    """Names of generated files that are missing, left over, or not what `fresh` holds."""
    made = {path.name: path.read_bytes() for path in fresh.glob("*_pb2*")}
    kept = {path.name: path.read_bytes() for path in HERE.glob("*_pb2*")}
    return sorted(name for name in made.keys() | kept.keys() if made.get(name) != kept.get(name))


def main() -> None:
    """Write the generated code, or with --check compare it with what is committed."""
    # The plugins that write stubs stand beside this Python, which need not be on the PATH.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    if sys.argv[1:] == ["--check"]:
        with tempfile.TemporaryDirectory() as folder:
            generate(Path(folder))
            stale = differences(Path(folder) / "protos")
        if stale:
            raise SystemExit(f"generated code is not current, run `make protos`: {', '.join(stale)}")
        print("generated code is current")
        return
    generate(ROOT)
    print(f"generated code for {len(list(HERE.glob('*.proto')))} .proto files in {HERE.name}/")


if __name__ == "__main__":
    main()
