"""Files and functions are short enough to be read in one go, and names are the field's words (docs/glossary.md)."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.checks import OWN_CODE
from infra.layout import ROOT

MAX_FILE_LINES, MAX_FUNCTION_LINES = 300, 45
PRODUCT = [name for name in OWN_CODE if name not in {"discovery/src", "discovery/tests", "tests", "conftest.py"}]
"""The library has a test of its own for its size and words."""

# Names that this project once had for what the field calls otherwise, with the field's word.
NOT_OUR_WORDS = {
    r"(MOST|LEAST|LONGEST|SHORTEST)_\w+": "MAX_ or MIN_",
    r"moment": "timestamp, or now",
    r"Fields": "RequestReader",
    r"Pages": "PageTokens",
    r"Finder|finding": "query, results or resolver",
    r"Grouping|grouping": "coalescing",
    r"opening": "factory",
    r"basis": "fingerprint",
    r"watched": "sources",
    r"worth": "score or weight",
    r"parted": "split",
}


def sources() -> Iterator[Path]:
    for folder in PRODUCT:
        yield from (path for path in sorted((ROOT / folder).rglob("*.py")) if "_pb2" not in path.name)


each_source = pytest.mark.parametrize("path", list(sources()), ids=lambda path: str(path.relative_to(ROOT)))


@each_source
def test_a_file_and_its_functions_can_be_read_in_one_go(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_FILE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < MAX_FUNCTION_LINES, node.name


@each_source
def test_names_are_the_words_of_the_field(path: Path) -> None:
    names = {path.stem}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
    for name in names:
        for pattern, word in NOT_OUR_WORDS.items():
            assert not re.fullmatch(f"_?(?:{pattern})", name), f"{name}: say {word}"
