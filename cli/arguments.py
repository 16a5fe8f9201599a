"""A contract method's arguments from the command line, by the contract's published schema."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from consensus.primitives.codec import data_from_json
from consensus.primitives.errors import CodecError, InputError

_TRUTH: Final = {"true": True, "yes": True, "false": False, "no": False}


def parse_arguments(
    schema: Mapping[str, Any], contract: str, method: str, kind: str, pairs: Sequence[str]
) -> dict[str, Any]:
    """Canonical values of ``name=value`` pairs.

    Numbers, true/false and hex are read as the schema says; lists and objects as JSON. Raises
    InputError UNKNOWN_CONTRACT, UNKNOWN_METHOD or BAD_ARGUMENT naming every mistake.
    """
    declared = _method(schema, contract, method, kind)["args"]
    properties: Mapping[str, Any] = declared["properties"]
    found: dict[str, Any] = {}
    mistakes = []
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            mistakes.append(f"{pair!r} is not name=value")
        elif name not in properties:
            known = ", ".join(properties) or "none"
            mistakes.append(f"{name}: there is no such argument (known: {known})")
        elif name in found:
            mistakes.append(f"{name}: is given twice")
        else:
            try:
                found[name] = parse_value(properties[name], text)
            except ValueError as error:
                mistakes.append(f"{name}: {error}")
    mistakes += [f"{name}: is missing" for name in declared["required"] if name not in found]
    if mistakes:
        raise InputError("BAD_ARGUMENT", f"{contract}.{method}: {'; '.join(mistakes)}")
    return found


def parse_value(schema: Mapping[str, Any], text: str) -> Any:
    """One argument. Raises ValueError saying what was expected."""
    options = schema.get("anyOf")
    if options is not None:
        if text == "null" and any(one.get("type") == "null" for one in options):
            return None
        return parse_value(next(one for one in options if one.get("type") != "null"), text)
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
