"""Canonical values within the bounds that receipts and state can carry."""

from __future__ import annotations

from typing import Any, Final

from consensus.primitives.codec import INT_MAX, INT_MIN
from contracts.sdk.errors import refuse

VALUE_DEPTH_MAX: Final = 16
VALUE_ITEMS_MAX: Final = 1024


def plain(value: Any, depth: int = VALUE_DEPTH_MAX) -> tuple[Any, int]:
    """(the value as None, bool, int, str, bytes, lists and str-keyed dicts of them; its size).

    Records become dicts of their fields. The size counts 1 for every value, and the length of
    text and bytes: a measure that is the same on every machine and needs no encoding.
    Refuses with VALUE_NOT_CANONICAL or VALUE_TOO_LARGE.
    """
    kind = type(value)
    if kind is str or kind is bytes:
        return value, 1 + len(value)
    if kind is int:
        if not INT_MIN <= value <= INT_MAX:
            refuse("VALUE_NOT_CANONICAL", "a whole number beyond 64 bits")
        return value, 9
    if value is None or kind is bool:
        return value, 1
    if kind is not dict and kind is not list and kind is not tuple:
        fields = getattr(kind, "field_names", None)
        if fields is None:
            refuse("VALUE_NOT_CANONICAL", f"a {kind.__name__} has no canonical form")
        value = {name: getattr(value, name) for name in fields()}
        kind = dict
    if depth == 0:
        refuse("VALUE_TOO_LARGE", f"nested deeper than {VALUE_DEPTH_MAX} levels")
    if len(value) > VALUE_ITEMS_MAX:
        refuse("VALUE_TOO_LARGE", f"{len(value)} items, more than {VALUE_ITEMS_MAX}")
    size = 1
    if kind is dict:
        result = {}
        for key in value:
            if type(key) is not str:
                refuse("VALUE_NOT_CANONICAL", "map keys must be text")
            result[key], item_size = plain(value[key], depth - 1)
            size += 1 + len(key) + item_size
        return result, size
    items = []
    for item in value:
        inner, item_size = plain(item, depth - 1)
        items.append(inner)
        size += item_size
    return items, size
