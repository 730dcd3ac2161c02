"""The tables of settings in docs/settings.md and in the library's README, generated from the settings classes by `make generate`."""

import types
import typing

import grpc_discovery
from common.settings import PREFIX, Settings
from grpc_discovery.environment import leaves, variable_of


def settings_tables() -> dict[str, str]:
    """The tables by the paths of their pages in the checkout."""
    return {
        "docs/settings.md": _table(Settings, PREFIX),
        "discovery/README.md": _table(grpc_discovery.Settings, ""),
    }


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
