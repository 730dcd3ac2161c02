"""The tables of settings in docs/settings.md and in the library's README, generated from the settings classes by `make generate`."""

import types
import typing

import grpc_discovery
from common.settings import PREFIX, Settings
from grpc_discovery.environment import leaves, variable_of

TABLES: dict[str, tuple[type[grpc_discovery.Settings], str]] = {
    "docs/settings.md": (Settings, PREFIX),
    "discovery/README.md": (grpc_discovery.Settings, ""),
}
"""The pages, by their paths in the checkout, and for each the settings and the prefix that its table shows."""
BEGIN, END = "<!-- settings -->\n", "<!-- end of settings -->\n"


def with_table(text: str, settings: type[grpc_discovery.Settings], prefix: str) -> str:
    """`text` with the table as the settings are now, between its two marks. Raises ValueError unless there is one pair of them."""
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    return head + BEGIN + _table(settings, prefix) + END + tail


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
        return " or ".join(_kind(option) for option in typing.get_args(annotation) if option is not types.NoneType)
    words = {
        "str": "text",
        "int": "whole number",
        "float": "number",
        "bool": "true or false",
        "Path": "file",
        "SecretStr": "secret text",
    }
    return words[getattr(annotation, "__name__", "str")]
