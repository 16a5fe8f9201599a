"""Fields read back from the schema that a contract publishes.

So a client checks and normalises what a user gives exactly as the contract will, before anything
is signed, and a test makes values for any method.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from consensus.primitives.codec import INT_MAX, INT_MIN, data_from_json
from contracts.sdk import fields, gs1
from contracts.sdk.commitments import Party, Personal
from contracts.sdk.errors import BadValue, ContractError
from contracts.sdk.fields import (
    TEXT_MAX,
    Blob,
    Bool,
    CalendarDate,
    Choice,
    Code,
    Data,
    Field,
    Int,
    Items,
    Maybe,
    Moment,
    Size,
    Text,
    field_of,
    wrong,
)
from contracts.sdk.money import Money
from contracts.sdk.values import plain

Schema = Mapping[str, Any]


class Anything(Field):
    """Any canonical value."""

    def check(self, value: Any) -> Any:
        try:
            return plain(value)[0]
        except ContractError as error:
            raise BadValue(error.message) from None

    def schema(self) -> dict[str, Any]:
        return {}

    def example(self) -> Any:
        return None


class Properties(Field):
    """A map of named fields, as a record's schema describes it. What is left out is filled in."""

    def __init__(
        self, fields: dict[str, Field], required: list[str], defaults: dict[str, Any]
    ) -> None:
        self.fields = fields
        self.required = required
        self.defaults = defaults

    def check(self, value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise wrong("a map", value)
        for name in value:
            if name not in self.fields:
                raise BadValue(f"unknown field {name[:64]}")
        found = {}
        for name, field in self.fields.items():
            if name in value:
                try:
                    found[name] = field.check(value[name])
                except BadValue as error:
                    raise BadValue(f"{name}: {error}") from None
            elif name in self.required:
                raise BadValue(f"{name} is missing")
            elif name in self.defaults:
                found[name] = self.defaults[name]
        return found

    def schema(self) -> dict[str, Any]:
        properties = {name: field.schema() for name, field in self.fields.items()}
        for name, default in self.defaults.items():
            properties[name]["default"] = default
        return {
            "type": "object",
            "properties": properties,
            "required": self.required,
            "additionalProperties": False,
        }

    def example(self) -> dict[str, Any]:
        return {name: self.fields[name].example() for name in self.fields if name in self.required}


_CODES: Final[dict[str, Field]] = {
    field.schema()["format"]: field
    for field in map(
        field_of,
        (
            fields.Bic,
            fields.ContainerNumber,
            fields.Currency,
            fields.Gln,
            fields.Gtin,
            fields.Iban,
            fields.Lei,
            fields.OrganisationId,
            fields.Sscc,
            fields.UnLocode,
            gs1.Item,
            gs1.LotNumber,
        ),
    )
}


def form_of(field: Field) -> str:
    """What a code looks like, for people; empty for other fields."""
    return field.form if isinstance(field, Code) else ""


def field_from(schema: Schema) -> Field:
    """The field that describes itself so. Raises TypeError for a schema that no field has."""
    if "visibility" in schema:
        kind = {"party": Party, "personal": Personal}.get(schema["visibility"])
        if kind is None or not isinstance(schema.get("value"), dict):
            raise TypeError(f"visibility {schema['visibility']!r} is not known")
        return kind(field_from(schema["value"]))
    if "anyOf" in schema:
        return _alternatives([one for one in schema["anyOf"] if isinstance(one, dict)])
    reader = _READERS.get(schema.get("type", ""))
    if reader is None:
        raise TypeError(f"a field of type {schema.get('type')!r} is not known")
    return reader(schema)


def is_bytes(schema: Schema) -> bool:
    """Whether it is the schema of bytes, which stand in JSON as ``{"hex": "..."}``."""
    return set(schema.get("properties", ())) == {"hex"}


def _alternatives(options: list[dict[str, Any]]) -> Field:
    present = [one for one in options if one.get("type") != "null"]
    if len(present) < len(options):
        return Maybe(field_from({"anyOf": present} if len(present) > 1 else present[0]))
    formats = {one.get("format") for one in present}
    if "date" in formats:
        return CalendarDate()
    if "date-time" in formats:
        return Moment()
    if len(present) == 1:
        return field_from(present[0])
    raise TypeError("a choice between types is not known")


def _text(schema: Schema) -> Field:
    if "format" in schema:
        code = _CODES.get(schema["format"])
        if code is None:
            raise TypeError(f"the format {schema['format']!r} is not known")
        return code
    if "enum" in schema:
        return Choice(*schema["enum"])
    pattern = schema.get("pattern")
    if pattern is not None:
        pattern = pattern.removeprefix("^(?:").removesuffix(")$")
    return Text(schema.get("maxLength", TEXT_MAX), schema.get("minLength", 0), pattern=pattern)


def _map(schema: Schema) -> Field:
    if schema.get("format") == "money":
        return field_of(Money)
    if is_bytes(schema):
        return Blob(schema.get("bytesMax", TEXT_MAX), schema.get("bytesMin", 0))
    if "properties" not in schema:
        return Data()
    properties = schema["properties"]
    return Properties(
        {name: field_from(one) for name, one in properties.items()},
        list(schema.get("required", ())),
        {
            name: data_from_json(one["default"])
            for name, one in properties.items()
            if "default" in one
        },
    )


def _list(schema: Schema) -> Field:
    size = Size(schema.get("maxItems", fields.ITEMS_MAX), schema.get("minItems", 0))
    return Items(field_from(schema.get("items", {})), size)


_READERS: Final[dict[str, Callable[[Schema], Field]]] = {
    "": lambda schema: Anything(),
    "array": _list,
    "boolean": lambda schema: Bool(),
    "integer": lambda schema: Int(schema.get("minimum", INT_MIN), schema.get("maximum", INT_MAX)),
    "object": _map,
    "string": _text,
}
