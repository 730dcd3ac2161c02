"""The tables of settings in docs/settings.md and in the library's README, generated from the settings classes.

`python -m common.settings_table` rewrites them in place.
"""

import types
import typing
from pathlib import Path

import grpc_discovery
from common.settings import PREFIX, Settings
from grpc_discovery.environment import leaves, variable_of

ROOT = Path(__file__).parent.parent
TABLES: dict[Path, tuple[type[grpc_discovery.Settings], str]] = {
    ROOT / "docs" / "settings.md": (Settings, PREFIX),
    ROOT / "discovery" / "README.md": (grpc_discovery.Settings, ""),
}
"""The pages, and for each the settings and the prefix that its table shows."""
BEGIN, END = "<!-- settings -->\n", "<!-- end of settings -->\n"


def with_table(page: Path) -> str:
    """The text of `page` with the table as the settings are now, between the page's two marks."""
    head, rest = page.read_text(encoding="utf-8").split(BEGIN)
    return head + BEGIN + _table(*TABLES[page]) + END + rest.split(END)[1]


def _table(settings: type[grpc_discovery.Settings], prefix: str) -> str:
    """One line a setting: name, what is allowed, default, what it is for."""
    lines = ["| Setting | Takes | Default | What it is for |", "|---|---|---|---|"]
    for _, field in leaves(settings):
        default = "" if field.default in (None, "") else f"`{field.default}`"
        lines.append(
            f"| `{prefix}{variable_of(field)}` | {_kind(field.annotation)} | {default} | {field.description} |"
        )
    return "\n".join(lines) + "\n"


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
    for each in TABLES:
        each.write_text(with_table(each), encoding="utf-8")
