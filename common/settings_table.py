"""The table of settings in the README, generated from the settings classes: `python -m common.settings_table` rewrites it in place."""

import types
import typing
from pathlib import Path

from common.settings import PREFIX, Settings
from grpc_discovery.environment import leaves, variable_of

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- settings -->\n", "<!-- end of settings -->\n"


def table() -> str:
    """One line a setting: name, what is allowed, default, what it is for."""
    lines = ["| Setting | Takes | Default | What it is for |", "|---|---|---|---|"]
    for _, field in leaves(Settings):
        default = "" if field.default in (None, "") else f"`{field.default}`"
        lines.append(
            f"| `{PREFIX}{variable_of(field)}` | {_kind(field.annotation)} | {default} | {field.description} |"
        )
    return "\n".join(lines) + "\n"


def with_table(text: str) -> str:
    """`text` with the present table between its two marks."""
    head, rest = text.split(BEGIN)
    return head + BEGIN + table() + END + rest.split(END)[1]


def _kind(annotation: object) -> str:
    if typing.get_origin(annotation) is typing.Literal:
        return ", ".join(f"`{choice}`" for choice in typing.get_args(annotation))
    if isinstance(annotation, types.UnionType):
        return " or ".join(_kind(each) for each in typing.get_args(annotation) if each is not types.NoneType)
    words = {
        "str": "text",
        "int": "whole number",
        "float": "number",
        "bool": "true or false",
        "Path": "file",
        "SecretStr": "secret text",
    }
    return words[getattr(annotation, "__name__", "str")]


if __name__ == "__main__":
    README.write_text(with_table(README.read_text()))
