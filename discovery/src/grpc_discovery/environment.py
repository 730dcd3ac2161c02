"""Reading settings from the environment: frozen models whose fields have flat names, and a sentence of our own for each wrong value.

With the prefix `GREETER_` a field that is declared as `setting("ETCD", ...)` is read from GREETER_ETCD. A secret may be given as a file:
GREETER_ETCD_PASSWORD_FILE=/run/secrets/password stands for GREETER_ETCD_PASSWORD.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails


class SettingsError(ValueError):
    """Settings that cannot be used. Its text has a sentence a line, each with the setting's name, its value and what is wrong with it."""


def setting(variable: str, default: Any, description: str, *, secret_file: bool = False, **bounds: Any) -> Any:
    """A field that is read from <prefix><variable>; with `secret_file` also from the file that <prefix><variable>_FILE names.

    `bounds` are those of pydantic's Field (ge, le, pattern ...).
    """
    extra: dict[str, Any] = {"variable": variable, "secret_file": secret_file}
    return Field(default=default, description=description, json_schema_extra=extra, **bounds)


class Section(BaseModel):
    """A group of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class EnvironmentSettings(Section):
    """All settings of a program: sections, and single settings."""

    prefix: str = Field(default="", description="What the names of the environment variables begin with.")

    @classmethod
    def from_environment(cls, prefix: str, environment: Mapping[str, str] | None = None, **values: Any) -> Self:
        """Read the variables that begin with `prefix`; `values`, by flat names in lower case (`etcd="h:2379"`), go before them.

        An empty variable counts as not set. Raises SettingsError.
        """
        given = cls.prepare({**_named(prefix, os.environ if environment is None else environment), **_upper(values)})
        nested: dict[str, Any] = {"prefix": prefix}
        for path, field in leaves(cls):
            value = _value(given, field, prefix)
            if value is not None:
                section = nested
                for name in path[:-1]:
                    section = section.setdefault(name, {})
                section[path[-1]] = value
        if unknown := sorted(_upper(values).keys() - {variable_of(field) for _, field in leaves(cls)}):
            raise SettingsError(f"there is no setting {', '.join(unknown)}")
        try:
            return cls.model_validate(nested)
        except ValidationError as error:
            raise SettingsError("\n".join(_sentence(cls, prefix, each) for each in error.errors())) from None

    @classmethod
    def load(cls, prefix: str, **values: Any) -> Self:
        """The same for a program's start: wrong settings are told on standard error, a sentence each, and end it with exit code 2."""
        try:
            return cls.from_environment(prefix, **values)
        except SettingsError as error:
            print(error, file=sys.stderr)
            raise SystemExit(2) from None

    @classmethod
    def prepare(cls, given: dict[str, object]) -> dict[str, object]:
        """For subclasses: what was given, by flat names in upper case, before it is read; for older names and computed defaults."""
        return given

    def replace(self, **values: Any) -> Self:
        """A copy with other values, by flat names in lower case. Raises SettingsError."""
        kept = {
            variable: value
            for path, field in leaves(type(self))
            if (variable := variable_of(field)) and (value := _at(self, path)) != field.default
        }
        return type(self).from_environment(self.prefix, {}, **{**_lower(kept), **values})

    def variable(self, name: str) -> str:
        """The environment variable of a flat name, for messages."""
        return f"{self.prefix}{name}"


def leaves(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Every single setting of a model and of its sections, with its path."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from leaves(field.annotation, (*path, name))
        elif variable_of(field):
            yield (*path, name), field


def variable_of(field: FieldInfo) -> str:
    """The flat name of a field; '' for one that is not read from the environment."""
    extra = field.json_schema_extra
    return str(extra.get("variable", "")) if isinstance(extra, dict) else ""


def _named(prefix: str, environment: Mapping[str, str]) -> dict[str, object]:
    return {name.removeprefix(prefix): value for name, value in environment.items() if name.startswith(prefix)}


def _upper(values: Mapping[str, object]) -> dict[str, object]:
    return {name.upper(): value for name, value in values.items()}


def _lower(values: Mapping[str, object]) -> dict[str, object]:
    return {name.lower(): value for name, value in values.items()}


def _value(given: Mapping[str, object], field: FieldInfo, prefix: str) -> object:
    """What was given for a field: the value, or the contents of the file that holds it; None for nothing."""
    variable = variable_of(field)
    value = given.get(variable)
    if value not in (None, ""):
        return value
    extra = field.json_schema_extra
    path = given.get(f"{variable}_FILE") if isinstance(extra, dict) and extra.get("secret_file") else None
    if not path:
        return None
    try:
        # A byte order mark, which some editors put in front, is no part of a secret.
        return Path(str(path)).read_text(encoding="utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise SettingsError(f"{prefix}{variable}_FILE={path} is not a text file in UTF-8") from None
    except OSError as error:
        raise SettingsError(f"{prefix}{variable}_FILE={path} cannot be read: {error.strerror}") from None


def _at(model: BaseModel, path: tuple[str, ...]) -> object:
    value: object = model
    for name in path:
        value = getattr(value, name)
    return value


def _sentence(model: type[BaseModel], prefix: str, fault: ErrorDetails) -> str:
    """What is wrong with one setting, in one sentence; a secret's value is not shown."""
    field = next((field for path, field in leaves(model) if path == fault["loc"]), None)
    if field is None:
        # Settings that do not go together: the reason names them.
        return f"wrong settings: {_reason(fault).replace('{prefix}', prefix)}"
    extra = field.json_schema_extra
    hidden = isinstance(extra, dict) and extra.get("secret_file")
    value = "(hidden)" if hidden else repr(fault["input"])
    return f"wrong setting {prefix}{variable_of(field)}={value}: {_reason(fault)}"


def _reason(fault: ErrorDetails) -> str:
    """The reason in our own words: pydantic's are written for programmers."""
    context = fault.get("ctx", {})
    match fault["type"]:
        case "value_error":
            return str(context["error"])
        case "int_parsing" | "int_type" | "int_from_float":
            return "is not a whole number"
        case "float_parsing" | "float_type":
            return "is not a number"
        case "bool_parsing" | "bool_type":
            return "is neither true nor false"
        case "greater_than_equal":
            return f"must be at least {context['ge']:g}"
        case "greater_than":
            return f"must be more than {context['gt']:g}"
        case "less_than_equal":
            return f"must be at most {context['le']:g}"
        case "literal_error":
            return f"must be one of {context['expected']}"
        case "string_pattern_mismatch":
            return f"does not have the form {context['pattern']}"
        case "string_too_short":
            return f"must have at least {context['min_length']} characters"
        case _:
            return fault["msg"]
