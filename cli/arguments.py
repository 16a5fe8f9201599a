"""A contract method's arguments from the command line, by the contract's published schema."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from consensus.primitives.codec import data_from_json, data_to_json
from consensus.primitives.errors import CodecError, InputError

_TRUTH: Final = {"true": True, "yes": True, "false": False, "no": False}
_TYPES: Final[Mapping[str, type]] = {
    "array": list, "boolean": bool, "integer": int, "object": dict, "string": str,
}  # fmt: skip
_NAMES: Final = {
    "array": "a list", "boolean": "true or false", "integer": "a whole number",
    "object": "an object", "string": "text",
}  # fmt: skip


def parse_arguments(
    schema: Mapping[str, Any], contract: str, method: str, kind: str, pairs: Sequence[str]
) -> dict[str, Any]:
    """Canonical values of ``name=value`` pairs.

    Numbers, true/false and hex are read as the schema says; lists and objects as JSON. Raises
    InputError UNKNOWN_CONTRACT, UNKNOWN_METHOD or BAD_ARGUMENT naming every mistake, also those
    within lists and objects.
    """
    declared = _method(schema, contract, method, kind)["args"]
    properties: Mapping[str, Any] = declared["properties"]
    found: dict[str, Any] = {}
    given: set[str] = set()
    mistakes: list[str] = []
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            mistakes.append(f"{pair!r} is not name=value")
        elif name not in properties:
            known = ", ".join(properties) or "none"
            mistakes.append(f"{name}: there is no such argument (known: {known})")
        elif name in given:
            mistakes.append(f"{name}: is given twice")
        else:
            try:
                given.add(name)
                found[name] = parse_value(properties[name], text)
                mistakes += check_value(properties[name], found[name], name)
            except ValueError as error:
                mistakes.append(f"{name}: {error}")
    mistakes += [f"{name}: is missing" for name in declared["required"] if name not in given]
    if mistakes:
        raise InputError("BAD_ARGUMENT", f"{contract}.{method}: {'; '.join(mistakes)}")
    return found


def parse_value(schema: Mapping[str, Any], text: str) -> Any:
    """One argument. Raises ValueError saying what was expected."""
    if "anyOf" in schema:
        if text == "null" and any(one.get("type") == "null" for one in schema["anyOf"]):
            return None
        return parse_value(_present(schema), text)
    kind = schema.get("type")
    if kind == "integer":
        if not re.fullmatch(r"[+-]?[0-9]{1,20}", text):
            raise ValueError(f"{text!r} is not a whole number")
        return int(text)
    if kind == "boolean":
        if text.lower() not in _TRUTH:
            raise ValueError(f"{text!r} is neither true nor false")
        return _TRUTH[text.lower()]
    if kind == "string":
        options = schema.get("enum")
        if options is not None and text not in options:
            raise ValueError(f"{text!r} is not one of {', '.join(options)}")
        return text
    if _is_bytes(schema) and re.fullmatch(r"(?:[0-9a-fA-F]{2})*", text):
        return bytes.fromhex(text)
    return _from_json(schema, text)


def check_value(schema: Mapping[str, Any], value: Any, where: str) -> list[str]:
    """What the schema finds wrong in a parsed value, each with its place, such as items[0].item.

    Formats and check digits are left to the contract.
    """
    if "anyOf" in schema:
        if value is None and any(one.get("type") == "null" for one in schema["anyOf"]):
            return []
        return check_value(_present(schema), value, where)
    if _is_bytes(schema):
        if not isinstance(value, bytes):
            return [f'{where}: is not {{"hex": "..."}}']
        return _check_size(len(value), schema, "bytesMin", "bytesMax", "bytes", where)
    kind = schema.get("type", "")
    if kind in _TYPES and type(value) is not _TYPES[kind]:
        return [f"{where}: {json.dumps(data_to_json(value))[:80]} is not {_NAMES[kind]}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{where}: {value!r} is not one of {', '.join(map(str, schema['enum']))}"]
    if kind == "integer":
        low, high = schema.get("minimum", value), schema.get("maximum", value)
        return [] if low <= value <= high else [f"{where}: is not within {low} to {high}"]
    if kind == "string":
        return _check_size(len(value), schema, "minLength", "maxLength", "characters", where)
    if kind == "array":
        found = _check_size(len(value), schema, "minItems", "maxItems", "entries", where)
        for at, one in enumerate(value[: schema.get("maxItems")]):
            found += check_value(schema.get("items", {}), one, f"{where}[{at}]")
        return found
    if kind == "object" and "properties" in schema:
        properties = schema["properties"]
        found = [f"{where}.{name}: is missing" for name in schema["required"] if name not in value]
        for name, one in value.items():
            if name in properties:
                found += check_value(properties[name], one, f"{where}.{name}")
            else:
                known = ", ".join(properties)
                found.append(f"{where}.{name[:64]}: there is no such field (known: {known})")
        return found
    return []


def _check_size(
    size: int, schema: Mapping[str, Any], low: str, high: str, unit: str, where: str
) -> list[str]:
    least, most = schema.get(low, 0), schema.get(high, size)
    if least <= size <= most:
        return []
    wanted = str(least) if least == most else f"{least} to {most}"
    return [f"{where}: has {size} {unit}, wanted are {wanted}"]


def shape_of(schema: Mapping[str, Any]) -> str:
    """How a value is written, for people: names stand for types, what is in [] may be missing."""
    if "anyOf" in schema:
        return shape_of(_present(schema))
    if _is_bytes(schema):
        return "hex"
    if "enum" in schema:
        return "|".join(map(str, schema["enum"]))
    kind = schema.get("type", "JSON")
    if kind == "array":
        return f"[{shape_of(schema.get('items', {}))}, ...]"
    if kind == "object" and "properties" in schema:
        fields = []
        for name, one in schema["properties"].items():
            # Within JSON, bytes stand in an object of their own.
            shape = '{"hex": text}' if _is_bytes(one) else shape_of(one)
            field = f'"{name}": {shape}'
            fields.append(field if name in schema["required"] else f"[{field}]")
        return "{" + ", ".join(fields) + "}"
    text = str(schema.get("format", "text") if kind == "string" else kind)
    return {"integer": "number", "boolean": "true|false"}.get(text, text)


def _present(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The alternative that is not null."""
    found: Mapping[str, Any] = next(one for one in schema["anyOf"] if one.get("type") != "null")
    return found


def _is_bytes(schema: Mapping[str, Any]) -> bool:
    return set(schema.get("properties", ())) == {"hex"}


def _from_json(schema: Mapping[str, Any], text: str) -> Any:
    wanted = {"array": "a JSON list", "object": "a JSON object"}.get(schema.get("type", ""), "JSON")
    if _is_bytes(schema):
        wanted = "hex"
    try:
        return data_from_json(json.loads(text))
    except (ValueError, RecursionError):
        raise ValueError(f"{text[:80]!r} is not {wanted}") from None
    except CodecError as error:
        raise ValueError(error.message) from None


def require_contract(schema: Mapping[str, Any], contract: str) -> None:
    """Raises InputError UNKNOWN_CONTRACT."""
    if contract not in schema:
        raise InputError(
            "UNKNOWN_CONTRACT", f"{contract!r} is not one of {', '.join(sorted(schema))}"
        )


def _method(schema: Mapping[str, Any], contract: str, method: str, kind: str) -> Any:
    require_contract(schema, contract)
    methods = {
        name: one for name, one in schema[contract]["methods"].items() if one["kind"] == kind
    }
    if method not in methods:
        raise InputError(
            "UNKNOWN_METHOD",
            f"{contract} has no {kind} {method!r}; it has {', '.join(sorted(methods))}",
        )
    return methods[method]
