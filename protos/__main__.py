"""Generates the Python code and its type stubs from the .proto files, beside them: KillrVideo's here, and those of discovery/.

`python -m protos` writes; `python -m protos --check` writes nothing and fails when the committed code is not what would be written.
"""

import os
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).parent.parent
FOLDERS = {
    ROOT / "protos": ROOT,
    ROOT / "discovery" / "src" / "grpc_discovery" / "protos": ROOT / "discovery" / "src",
    ROOT / "discovery" / "examples": ROOT / "discovery" / "examples",
}
"""Where .proto files lie, and below which folder the generated code is imported from."""


def generate(folder: Path, base: Path, target: Path) -> None:
    """Run protoc over every .proto file of `folder`; the generated files land below `target` as the sources lie below `base`."""
    sources = sorted(folder.glob("*.proto"))
    with_services = [path for path in sources if "\nservice " in path.read_text()]
    protoc_run(base, [f"--python_out={target}", f"--mypy_out=quiet:{target}"], sources)
    if with_services:
        stubs = f"--mypy_grpc_out=quiet,generate_concrete_servicer_stubs:{target}"
        protoc_run(base, [f"--grpc_python_out={target}", stubs], with_services)


def protoc_run(base: Path, outputs: list[str], sources: list[Path]) -> None:
    """One run of protoc; ends the program with protoc's own exit code when it fails."""
    includes = [f"-I{base}", f"-I{files('grpc_tools') / '_proto'}"]
    outcome = protoc.main(["protoc", *includes, *outputs, *(str(path.relative_to(base)) for path in sources)])
    if outcome != 0:
        raise SystemExit(outcome)


def differences(folder: Path, fresh: Path) -> list[str]:
    """Names of generated files that are missing, left over, or not what `fresh` holds."""
    made = {path.name: path.read_bytes() for path in fresh.glob("*_pb2*")}
    kept = {path.name: path.read_bytes() for path in folder.glob("*_pb2*")}
    return sorted(name for name in made.keys() | kept.keys() if made.get(name) != kept.get(name))


def main() -> None:
    """Write the generated code, or with --check compare it with what is committed."""
    # The plugins that write stubs stand beside this Python, which need not be on the PATH.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    if sys.argv[1:] == ["--check"]:
        stale = []
        for folder, base in FOLDERS.items():
            with tempfile.TemporaryDirectory() as fresh:
                generate(folder, base, Path(fresh))
                stale += differences(folder, Path(fresh) / folder.relative_to(base))
        if stale:
            raise SystemExit(f"generated code is not current, run `make protos`: {', '.join(stale)}")
        print("generated code is current")
        return
    for folder, base in FOLDERS.items():
        generate(folder, base, base)
        print(f"generated code for {len(list(folder.glob('*.proto')))} .proto files in {folder.relative_to(ROOT)}/")


if __name__ == "__main__":
    main()
