"""The table of settings in the README, made from the settings' models: `python -m discovery.tests.settings_table` writes it anew."""

import types
import typing
from pathlib import Path

from grpc_discovery.environment import leaves, variable_of
from grpc_discovery.settings import Settings

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- settings -->\n", "<!-- end of settings -->\n"

_WORDS = {
    "str": "text",
    "int": "whole number",
    "float": "number",
    "bool": "true or false",
    "Path": "file",
    "SecretStr": "secret text",
}


def with_table(text: str) -> str:
    """The README's text with the present table between its two marks."""
    head, rest = text.split(BEGIN)
    return head + BEGIN + _table() + END + rest.split(END)[1]


def _table() -> str:
    lines = ["| Setting | Takes | Default | What it is for |", "|---|---|---|---|"]
    for _, field in leaves(Settings):
        default = "" if field.default in (None, "") else f"`{field.default}`"
        lines.append(f"| `{variable_of(field)}` | {_kind(field.annotation)} | {default} | {field.description} |")
    return "\n".join(lines) + "\n"


def _kind(annotation: object) -> str:
    if typing.get_origin(annotation) is typing.Literal:
        return ", ".join(f"`{choice}`" for choice in typing.get_args(annotation))
    if isinstance(annotation, types.UnionType):
        return " or ".join(_kind(each) for each in typing.get_args(annotation) if each is not types.NoneType)
    return _WORDS[getattr(annotation, "__name__", "str")]


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
