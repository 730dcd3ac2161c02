"""The README shows code that runs: each block of it stands in an example, and test_wheel.py runs all of these."""

import re
from pathlib import Path

import grpc_discovery

LIBRARY = Path(__file__).parent.parent
SOURCE = LIBRARY / "src" / "grpc_discovery"
README = (LIBRARY / "README.md").read_text(encoding="utf-8")
MAX_LINES = {"greeter_server.py": 15, "greeter_client.py": 12}


def _blocks() -> list[tuple[str, str]]:
    """The Python code in the README, each with the example that the line above it names."""
    blocks = re.findall(r"<!-- examples/(\S+) -->\n```python\n(.*?)```\n", README, re.DOTALL)
    assert len(blocks) == README.count("```python"), "a block of code names no example"
    return blocks


def _example(name: str) -> str:
    return (LIBRARY / "examples" / name).read_text(encoding="utf-8")


def test_each_block_of_code_stands_in_an_example_literally() -> None:
    for name, code in _blocks():
        assert code in _example(name), f"the README's code is not in examples/{name}:\n{code}"


def test_the_service_and_the_caller_are_whole_programs_and_short() -> None:
    whole = {name: code for name, code in _blocks() if name in MAX_LINES}
    assert whole.keys() == MAX_LINES.keys()
    for name, code in whole.items():
        assert code == _example(name)
        assert len([line for line in code.splitlines() if line.strip()]) <= MAX_LINES[name]


def test_every_public_name_is_in_the_table_of_names_and_nothing_else() -> None:
    table = README.partition("## Public names")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(\w+)`", table)) - {"grpc_discovery"}
    assert named == set(grpc_discovery.__all__)


def test_every_file_that_the_readme_links_to_is_there() -> None:
    for page in (LIBRARY / "README.md", LIBRARY / "docs" / "architecture.md", LIBRARY / "CHANGELOG.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert target.startswith("https://") or (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_module_that_the_architecture_names_is_there() -> None:
    text = (LIBRARY / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w/]+\.py)`", text))
    there = {str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.py")}
    assert not {name for name in named if not any(f"/{path}".endswith(f"/{name}") for path in there)}


def test_the_changelog_knows_the_present_version() -> None:
    assert f"\n## {grpc_discovery.__version__}\n" in (LIBRARY / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_example_opens_with_what_it_shows_and_how_to_start_it() -> None:
    for path in (LIBRARY / "examples").glob("*.py"):
        if "_pb2" not in path.name:
            opening = _example(path.name).split('"""')[1]
            assert re.search(rf"python (-m pytest )?{path.name}", opening), path.name


def test_the_promises_are_numbered_as_they_are_known() -> None:
    numbers = [int(number) for number in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)]
    assert numbers == [*range(1, 15), 18, 19, 20, 22, 23]
