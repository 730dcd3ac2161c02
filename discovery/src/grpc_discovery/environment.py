"""Reading settings from the environment: frozen models whose fields have flat names, and a sentence of our own for each wrong value.

With the prefix `GREETER_` a field that is declared as `setting("ETCD", ...)` is read from GREETER_ETCD. A secret may be given as a file:
GREETER_ETCD_PASSWORD_FILE=/run/secrets/password stands for GREETER_ETCD_PASSWORD.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

# pydantic's reasons are written for programmers; those that settings can meet, in our own words.
_REASONS = {
    "value_error": "{error}",
    "int_parsing": "is not a whole number",
    "int_parsing_size": "is not a whole number of a usual size",
    "float_parsing": "is not a number",
    "bool_parsing": "is neither true nor false",
    "greater_than_equal": "must be at least {ge:g}",
    "greater_than": "must be more than {gt:g}",
    "less_than_equal": "must be at most {le:g}",
    "literal_error": "must be one of {expected}",
    "string_pattern_mismatch": "does not have the form {pattern}",
}


class SettingsError(ValueError):
    """Settings that cannot be used. Its text has a sentence a line, each with the setting's name, its value and what is wrong with it."""


def setting(
    variable: str, default: Any, description: str | None = None, *, secret_file: bool = False, **bounds: Any
) -> Any:
    """A field that is read from <prefix><variable>; with `secret_file` also from the file that <prefix><variable>_FILE names.

    Without a description the text below the field is it. `bounds` are those of pydantic's Field (ge, le, pattern ...).
    """
    extra: dict[str, Any] = {"variable": variable, "secret_file": secret_file}
    return Field(default=default, description=description, json_schema_extra=extra, **bounds)


class Section(BaseModel):
    """A group of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class EnvironmentSettings(Section):
    """All settings of a program: sections, and single settings."""

    prefix: str = Field(default="", description="What the names of the environment variables begin with.")

    @classmethod
    def from_environment(cls, prefix: str, environment: Mapping[str, str] | None = None, **values: Any) -> Self:
        """Read the variables that begin with `prefix`; `values`, by flat names in lower case (`etcd="h:2379"`), go before them.

        An empty variable counts as not set. Raises SettingsError.
        """
        fields, variables = dict(leaves(cls)), os.environ if environment is None else environment
        chosen = {name.upper(): value for name, value in values.items()}
        if unknown := sorted(chosen.keys() - {variable_of(field) for field in fields.values()}):
            raise SettingsError(f"there is no setting {', '.join(unknown)}")
        named = {name.removeprefix(prefix): value for name, value in variables.items() if name.startswith(prefix)}
        given = cls.prepare({**named, **chosen})
        nested: dict[str, Any] = {"prefix": prefix}
        for (*sections, name), field in fields.items():
            if (value := _value(given, field, prefix)) is not None:
                holder = nested
                for section in sections:
                    holder = holder.setdefault(section, {})
                holder[name] = value
        try:
            return cls.model_validate(nested)
        except ValidationError as error:
            raise SettingsError("\n".join(_sentence(fields, prefix, fault) for fault in error.errors())) from None

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
            variable_of(field).lower(): value
            for path, field in leaves(type(self))
            if (value := attrgetter(".".join(path))(self)) != field.default
        }
        return type(self).from_environment(self.prefix, {}, **{**kept, **values})

    @classmethod
    def variables(cls) -> Iterator[str]:
        """The flat names of all settings, also those of the files that hold a secret."""
        for _, field in leaves(cls):
            yield variable_of(field)
            if _declared(field).get("secret_file"):
                yield f"{variable_of(field)}_FILE"

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
    return str(_declared(field).get("variable", ""))


def _declared(field: FieldInfo) -> Mapping[str, object]:
    """What setting() says of a field."""
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


def _value(given: Mapping[str, object], field: FieldInfo, prefix: str) -> object:
    """What was given for a field: the value, or the contents of the file that holds it; None for nothing."""
    variable = variable_of(field)
    value, file = given.get(variable), f"{variable}_FILE"
    path = given.get(file) if _declared(field).get("secret_file") else None
    if value not in (None, "") or not path:
        return None if value == "" else value
    try:
        # A byte order mark, which some editors put in front, is no part of a secret.
        return Path(str(path)).read_text(encoding="utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise SettingsError(f"{prefix}{file}={path} is not a text file in UTF-8") from None
    except OSError as error:
        raise SettingsError(f"{prefix}{file}={path} cannot be read: {error.strerror}") from None


def _sentence(fields: Mapping[tuple[str, ...], FieldInfo], prefix: str, fault: ErrorDetails) -> str:
    """What is wrong with one setting, in one sentence; a secret's value is not shown."""
    known = _REASONS.get(fault["type"])
    reason = known.format(**fault.get("ctx", {})) if known else fault["msg"]
    field = fields.get(tuple(str(name) for name in fault["loc"]))
    if field is None:
        # Settings that do not go together: the reason names them.
        return f"wrong settings: {reason.replace('{prefix}', prefix)}"
    value = "(hidden)" if _declared(field).get("secret_file") else repr(fault["input"])
    return f"wrong setting {prefix}{variable_of(field)}={value}: {reason}"
