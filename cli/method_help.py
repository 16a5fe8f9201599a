"""What `hansa call CONTRACT METHOD --help` shows: the method's published schema, for people."""

from __future__ import annotations

import json
import shlex
import textwrap
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from cli import output
from consensus.primitives.codec import INT_MAX, INT_MIN, data_to_json
from contracts.sdk.fields import INT64_MAX
from contracts.sdk.schemas import field_from, form_of, is_bytes

_WIDTH: Final = 100
_SECRET: Final = {
    "party": "for named parties only: a salted commitment is sent",
    "personal": "personal: a salted commitment is sent",
}


def method_help(
    contract: str, method: str, declared: Mapping[str, Any], own_options: Collection[str]
) -> str:
    """The method's text, who may call it, its arguments with bounds and defaults, an example.

    ``own_options`` are the command's own: arguments of these names are given as name=value.
    """
    command = f"hansa {declared['kind']} {contract} {method}"
    parts = [f"Usage: {command} [NAME=VALUE | --NAME VALUE]...", declared["doc"]]
    conditions = list(_conditions(declared))
    if conditions:
        parts.append("Who may call it:\n" + "\n".join(f"  {one}" for one in conditions))
    if declared.get("meaning"):
        parts.append(f"Who signs it signs for: {declared['meaning']} (21 CFR 11.50).")
    arguments = declared["args"]
    if arguments["properties"]:
        rows = [
            row
            for name, schema in arguments["properties"].items()
            for row in _rows(name, schema, name in arguments["required"])
        ]
        parts.append(_wrapped(output.table(("argument", "default", "value"), rows)))
        shadowed = sorted(own_options & arguments["properties"].keys())
        if shadowed:
            parts.append(f"As NAME=VALUE only: {', '.join(shadowed)}.")
    parts.append(f"Example:\n  {_example(command, arguments)}")
    return "\n\n".join(part for part in parts if part)


def _conditions(declared: Mapping[str, Any]) -> Iterator[str]:
    if declared.get("roles"):
        yield f"a key with the role {' or '.join(declared['roles'])}"
    for name, value in declared.get("attributes") or ():
        yield f"a key with the attribute {name} = {value}"
    own = declared.get("own")
    if own:
        record, key, field = own
        arguments = key if isinstance(key, str) else ", ".join(key)
        yield f"the organisation that is {field} of {record}[{arguments}]"
    if declared.get("contracts"):
        yield f"only the contracts {', '.join(declared['contracts'])}"


def _rows(
    name: str, schema: Mapping[str, Any], is_required: bool
) -> Iterator[tuple[str, str, str]]:
    """A line for the argument, and one for each field within it."""
    default = "required" if is_required else "optional"
    if "default" in schema:
        default = json.dumps(data_to_json(schema["default"]), ensure_ascii=False)
    yield name, default, told(schema)
    inner = schema["value"] if "visibility" in schema else schema
    if "anyOf" in inner:
        inner = next(one for one in inner["anyOf"] if one.get("type") != "null")
    if inner.get("type") == "array" and inner.get("items"):
        name, inner = f"{name}[]", inner["items"]
        if "properties" not in inner or is_bytes(inner):
            yield f"  {name}", "", told(inner)
    if "properties" in inner and not is_bytes(inner):
        for field, one in inner["properties"].items():
            for place, given, value in _rows(field, one, field in inner.get("required", ())):
                yield f"  {place}" if place.startswith(" ") else f"  {name}.{place}", given, value


def _wrapped(table: str) -> str:
    """The table with its last column folded."""
    lines = table.split("\n")
    indent = " " * lines[0].index("value")
    return "\n".join(
        textwrap.fill(line, _WIDTH, subsequent_indent=indent, break_long_words=False)
        for line in [*lines[:1], lines[1][:_WIDTH], *lines[2:]]
    )


def told(schema: Mapping[str, Any]) -> str:
    """Type and bounds in words."""
    if "visibility" in schema:
        return f"{told(schema['value'])} ({_SECRET[schema['visibility']]})"
    if "anyOf" in schema:
        present = [one for one in schema["anyOf"] if one.get("type") != "null"]
        nothing = " or null" if len(present) < len(schema["anyOf"]) else ""
        return f"{told(present[0])}{nothing}"
    if is_bytes(schema):
        return f"{_between(schema, 'bytesMin', 'bytesMax')} bytes as hex"
    if schema.get("format") == "money":
        return 'money, as 12.50 EUR or {"minor": 1250, "currency": "EUR"}'
    if "enum" in schema:
        return f"one of {', '.join(schema['enum'])}"
    kind = schema.get("type")
    if kind == "string":
        return _text(schema)
    if kind == "integer":
        low, high = schema.get("minimum", INT_MIN), schema.get("maximum", INT_MAX)
        upper = "" if high >= INT64_MAX else f" to {high}"
        return "whole number" if low <= -INT64_MAX else f"whole number from {low}{upper}"
    if kind == "array":
        return f"list of {_between(schema, 'minItems', 'maxItems')}"
    return {"boolean": "true or false", "object": "object"}.get(str(kind), "JSON")


def _text(schema: Mapping[str, Any]) -> str:
    name = schema.get("format")
    if name == "date":
        return "date, YYYY-MM-DD"
    if name == "date-time":
        return "time, YYYY-MM-DDThh:mm:ssZ"
    if name is not None:
        try:
            form = form_of(field_from(schema))
        except TypeError:
            form = ""
        return f"{name}: {form}" if form else str(name)
    pattern = schema.get("pattern")
    matching = "" if pattern is None else f" matching {pattern[4:-2]}"
    return f"text of {_between(schema, 'minLength', 'maxLength')} characters{matching}"


def _between(schema: Mapping[str, Any], low: str, high: str) -> str:
    least, most = schema.get(low, 0), schema.get(high)
    if most is None:
        return f"{least} or more"
    return str(least) if least == most else f"{least} to {most}"


def _example(command: str, arguments: Mapping[str, Any]) -> str:
    """A command line with a value for each required argument."""
    words = [command]
    for name in arguments["required"]:
        schema = arguments["properties"][name]
        try:
            value = _example_value(schema)
        except TypeError:
            value = "..."
        words.append(shlex.quote(f"{name}={_written(value)}"))
    return " ".join(words)


def _example_value(schema: Mapping[str, Any]) -> Any:
    """A value as people give it: what is not public in clear, within lists and objects too."""
    if "visibility" in schema:
        return _example_value(schema["value"])
    if schema.get("type") == "array":
        return [_example_value(schema["items"])] * max(1, schema.get("minItems", 0))
    if "properties" in schema and not is_bytes(schema):
        names = schema.get("required", ())
        return {name: _example_value(schema["properties"][name]) for name in names}
    return field_from(schema).example()


def _written(value: Any) -> str:
    if type(value) is str:
        return value
    if type(value) is bytes:
        return value.hex()
    return json.dumps(data_to_json(value), ensure_ascii=False)
