"""A contract method's arguments from the command line, by the contract's published schema."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from consensus.primitives.codec import data_from_json
from consensus.primitives.errors import CodecError, InputError
from contracts.sdk.commitments import COMMITMENT_BYTES, SALT_BYTES, commit
from contracts.sdk.errors import BadValue
from contracts.sdk.money import money_of
from contracts.sdk.schemas import field_from, is_bytes
from contracts.sdk.values import plain

_TRUTH: Final = {"true": True, "yes": True, "false": False, "no": False}
DrawSalt = Callable[[], bytes]


class Opening(NamedTuple):
    """What shows the value behind a commitment. ``argument`` is its place, such as parts[0].x."""

    argument: str
    visibility: str
    commitment: bytes
    salt: bytes
    value: Any


class Parsed(NamedTuple):
    """Arguments as they go into a transaction, and the openings of what they commit to."""

    args: dict[str, Any]
    openings: tuple[Opening, ...]


def parse_arguments(
    schema: Mapping[str, Any],
    contract: str,
    method: str,
    kind: str,
    words: Sequence[str],
    draw_salt: DrawSalt = lambda: secrets.token_bytes(SALT_BYTES),
) -> Parsed:
    """Canonical values of ``name=value``, ``--name value`` and ``--name=value``.

    Numbers, true/false and hex are read as the schema says; lists and objects as JSON; money also
    as 12.50 EUR. A party or personal argument is given in clear and checked, and only a commitment
    to it is in what comes back; one made earlier is given as {"commitment": "hex"}. Raises
    InputError UNKNOWN_CONTRACT, UNKNOWN_METHOD, or BAD_ARGUMENT naming every mistake, also those
    within lists and objects.
    """
    declared = method_schema(schema, contract, method, kind)["args"]
    properties: Mapping[str, Any] = declared["properties"]
    reader = _Reader(draw_salt)
    found: dict[str, Any] = {}
    given: set[str] = set()
    for name, text in _pairs(words, properties, reader.mistakes):
        if name not in properties:
            known = ", ".join(properties) or "none"
            reader.mistakes.append(f"{name}: there is no such argument (known: {known})")
        elif name in given:
            reader.mistakes.append(f"{name}: is given twice")
        else:
            given.add(name)
            try:
                value = parse_value(properties[name], text)
                found[name] = reader.read(properties[name], value, name)
            except ValueError as error:
                reader.mistakes.append(f"{name}: {error}")
    reader.mistakes += [f"{name}: is missing" for name in declared["required"] if name not in given]
    if reader.mistakes:
        raise InputError("BAD_ARGUMENT", f"{contract}.{method}: {'; '.join(reader.mistakes)}")
    return Parsed(found, tuple(reader.openings))


def _pairs(
    words: Sequence[str], properties: Mapping[str, Any], mistakes: list[str]
) -> list[tuple[str, str]]:
    """(argument, its text) of the words given, in order."""
    pairs = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            name, equals, text = word.partition("=")
            if equals:
                pairs.append((name, text))
            else:
                mistakes.append(f"{word!r} is neither name=value nor --name value")
            continue
        option, equals, text = word[2:].partition("=")
        name = option.replace("-", "_")
        if not equals:
            is_flag = properties.get(name, {}).get("type") == "boolean"
            if rest and not (is_flag and (rest[0].startswith("--") or "=" in rest[0])):
                text = rest.pop(0)
            elif is_flag:
                text = "true"
            else:
                mistakes.append(f"{name}: --{option} is given no value")
                continue
        pairs.append((name, text))
    return pairs


def parse_value(schema: Mapping[str, Any], text: str) -> Any:
    """What one argument's text says. Raises ValueError saying what was expected."""
    if "visibility" in schema:
        earlier = _commitment_text(text)
        return parse_value(schema["value"], text) if earlier is None else earlier
    if "anyOf" in schema:
        return _parse_alternative(schema["anyOf"], text)
    kind = schema.get("type")
    if kind == "integer":
        if not re.fullmatch(r"[+-]?[0-9]{1,20}", text, re.ASCII):
            raise ValueError(f"{text!r} is not a whole number")
        return int(text)
    if kind == "boolean":
        if text.lower() not in _TRUTH:
            raise ValueError(f"{text!r} is neither true nor false")
        return _TRUTH[text.lower()]
    if kind == "string" or (schema.get("format") == "money" and not text.startswith("{")):
        return text
    if is_bytes(schema) and re.fullmatch(r"(?:[0-9a-fA-F]{2})*", text):
        return bytes.fromhex(text)
    return _from_json(schema, text)


def _parse_alternative(options: Sequence[Mapping[str, Any]], text: str) -> Any:
    """A date's text or number; null where there may be nothing."""
    present = [one for one in options if one.get("type") != "null"]
    if text == "null" and len(present) < len(options):
        return None
    number = next((one for one in present if one.get("type") == "integer"), None)
    if number is not None and len(present) > 1 and re.fullmatch("[0-9]{1,20}", text, re.ASCII):
        return int(text)
    return parse_value(present[0], text)


def _commitment_text(text: str) -> Any:
    """{"commitment": "hex"} as written; None if the text is not such an object."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if type(value) is dict and set(value) == {"commitment"} else None


class _Reader:
    """Turns parsed values into what a transaction carries, and collects all that is wrong."""

    def __init__(self, draw_salt: DrawSalt) -> None:
        self.draw_salt = draw_salt
        self.mistakes: list[str] = []
        self.openings: list[Opening] = []

    def read(self, schema: Mapping[str, Any], value: Any, where: str) -> Any:
        """The canonical value; each mistake enters the list with its place, as items[0].item."""
        if type(value) is str and not _has_utf8(value):
            self.mistakes.append(f"{where}: is no text: it has no UTF-8 form")
            return value
        if "visibility" in schema:
            return self._committed(schema, value, where)
        if "anyOf" in schema and value is not None:
            present = [one for one in schema["anyOf"] if one.get("type") != "null"]
            if len(present) == 1:
                return self.read(present[0], value, where)
        if schema.get("format") == "money" and type(value) is str:
            try:
                value = money_of(value)
            except BadValue as error:
                self.mistakes.append(f"{where}: {error}")
                return value
        if schema.get("type") == "array" and type(value) is list:
            self._check({**schema, "items": {}}, value, where)
            shown = value[: schema.get("maxItems")]
            items = schema.get("items", {})
            return [self.read(items, one, f"{where}[{at}]") for at, one in enumerate(shown)]
        if "properties" in schema and not is_bytes(schema) and type(value) is dict:
            return self._object(schema, value, where)
        self._check(schema, value, where)
        return value

    def _check(self, schema: Mapping[str, Any], value: Any, where: str) -> Any:
        """The one form of a value. What the contract would refuse, with the contract's words."""
        try:
            return field_from(schema).check(value)
        except BadValue as error:
            self.mistakes.append(f"{where}: {error}")
        except TypeError as error:
            raise InputError("SCHEMA_UNKNOWN", f"{where}: {error}; newer software may be") from None
        return None

    def _object(
        self, schema: Mapping[str, Any], value: dict[str, Any], where: str
    ) -> dict[str, Any]:
        properties = schema["properties"]
        found = {}
        for name in schema.get("required", ()):
            if name not in value:
                self.mistakes.append(f"{where}.{name}: is missing")
        for name, one in value.items():
            if name in properties:
                found[name] = self.read(properties[name], one, f"{where}.{name}")
            else:
                known = ", ".join(properties)
                self.mistakes.append(
                    f"{where}.{name[:64]}: there is no such field (known: {known})"
                )
        return found

    def _committed(self, schema: Mapping[str, Any], value: Any, where: str) -> bytes:
        """A commitment to a value given in clear, or the one that was made earlier."""
        if type(value) is dict and set(value) == {"commitment"}:
            text = value["commitment"]
            if type(text) is str and re.fullmatch(f"[0-9a-fA-F]{{{2 * COMMITMENT_BYTES}}}", text):
                return bytes.fromhex(text)
            self.mistakes.append(f"{where}: a commitment is {COMMITMENT_BYTES} bytes as hex")
            return b""
        before = len(self.mistakes)
        clear = self.read(schema["value"], value, where)
        if len(self.mistakes) == before:
            # In the form that the contract would give it: only that opens the commitment there.
            normal = self._check(schema["value"], clear, where)
        if len(self.mistakes) > before:
            return b""
        salt, clear = self.draw_salt(), plain(normal)[0]
        opening = Opening(where, schema["visibility"], commit(salt, clear), salt, clear)
        self.openings.append(opening)
        return opening.commitment


def _has_utf8(text: str) -> bool:
    """Whether it is text at all: JSON and command lines can hold halves of characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def shape_of(schema: Mapping[str, Any]) -> str:
    """How a value is written, for people: names stand for types, what is in [] may be missing."""
    if "visibility" in schema:
        return shape_of(schema["value"])
    if "anyOf" in schema:
        return shape_of(next(one for one in schema["anyOf"] if one.get("type") != "null"))
    if is_bytes(schema):
        return "hex"
    if "enum" in schema:
        return "|".join(map(str, schema["enum"]))
    kind = schema.get("type", "JSON")
    if kind == "array":
        return f"[{shape_of(schema.get('items', {}))}, ...]"
    if schema.get("format") == "money":
        return "money"
    if kind == "object" and "properties" in schema:
        fields = []
        for name, one in schema["properties"].items():
            # Within JSON, bytes stand in an object of their own.
            shape = '{"hex": text}' if is_bytes(one) else shape_of(one)
            field = f'"{name}": {shape}'
            fields.append(field if name in schema["required"] else f"[{field}]")
        return "{" + ", ".join(fields) + "}"
    text = str(schema.get("format", "text") if kind == "string" else kind)
    return {"integer": "number", "boolean": "true|false"}.get(text, text)


def _from_json(schema: Mapping[str, Any], text: str) -> Any:
    wanted = {"array": "a JSON list", "object": "a JSON object"}.get(schema.get("type", ""), "JSON")
    if is_bytes(schema):
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


def method_schema(schema: Mapping[str, Any], contract: str, method: str, kind: str) -> Any:
    """What is published of a method. Raises InputError UNKNOWN_CONTRACT or UNKNOWN_METHOD."""
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
