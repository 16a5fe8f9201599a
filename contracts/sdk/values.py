"""Canonical values within the bounds that receipts and state can carry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

from consensus.primitives.codec import INT_MAX, INT_MIN
from contracts.sdk.errors import refuse

VALUE_DEPTH_MAX: Final = 16
VALUE_ITEMS_MAX: Final = 1024
PLAIN_SIZE_MAX: Final = 1 << 20


def normal(value: Any, take: Callable[[int], None], depth: int = VALUE_DEPTH_MAX) -> Any:
    """A copy as None, bool, int, str, bytes, lists, and dicts whose text keys stand in order.

    Records become dicts of their fields. ``take`` is told the size of each container as the walk
    goes and may raise: what a contract hands over is paid for although one list may stand in it
    many times. A size is 9 for a whole number, 1 for every other value and key, and the bytes of
    text: the same on every machine, and about what the encoding takes.
    Refuses with VALUE_NOT_CANONICAL or VALUE_TOO_LARGE.
    """
    kind = type(value)
    if kind is dict:
        return sorted_map(value, take, depth)
    if kind is list or kind is tuple:
        return row(value, take, depth)
    names = getattr(kind, "__hansa_names__", None)
    if names is not None:
        return sorted_map({name: getattr(value, name) for name in names}, take, depth)
    return row((value,), take, 1)[0]


# The two loops below are where contracts' values go through, so each stands in line.


def sorted_map(
    value: dict[str, Any], take: Callable[[int], None], depth: int = VALUE_DEPTH_MAX
) -> dict[str, Any]:
    """:func:`normal` of a map."""
    if depth == 0 or len(value) > VALUE_ITEMS_MAX:
        _refuse_size(len(value))
    try:
        keys = sorted(value)
    except TypeError:
        keys = list(value)  # not of one type: one of them is no text
    made = {}
    size = 1
    for key in keys:
        if type(key) is not str:
            refuse("VALUE_NOT_CANONICAL", "map keys must be text")
        size += 1 + len(key) if key.isascii() else text_size(key)
        item = value[key]
        kind = type(item)
        if kind is str:
            size += 1 + len(item) if item.isascii() else text_size(item)
        elif kind is int:
            if not INT_MIN <= item <= INT_MAX:
                refuse("VALUE_NOT_CANONICAL", "a whole number beyond 64 bits")
            size += 9
        elif item is None or kind is bool:
            size += 1
        elif kind is bytes:
            size += 1 + len(item)
        else:
            item = _inner(item, take, depth)
        made[key] = item
    take(size)
    return made


def row(
    items: Sequence[Any], take: Callable[[int], None], depth: int = VALUE_DEPTH_MAX
) -> list[Any]:
    """:func:`normal` of a list or tuple."""
    if depth == 0 or len(items) > VALUE_ITEMS_MAX:
        _refuse_size(len(items))
    made = []
    size = 1
    for item in items:
        kind = type(item)
        if kind is str:
            size += 1 + len(item) if item.isascii() else text_size(item)
        elif kind is int:
            if not INT_MIN <= item <= INT_MAX:
                refuse("VALUE_NOT_CANONICAL", "a whole number beyond 64 bits")
            size += 9
        elif item is None or kind is bool:
            size += 1
        elif kind is bytes:
            size += 1 + len(item)
        else:
            made.append(_inner(item, take, depth))
            continue
        made.append(item)
    take(size)
    return made


def _refuse_size(count: int) -> NoReturn:
    if count > VALUE_ITEMS_MAX:
        refuse("VALUE_TOO_LARGE", f"{count} items, more than {VALUE_ITEMS_MAX}")
    refuse("VALUE_TOO_LARGE", f"nested deeper than {VALUE_DEPTH_MAX} levels")


def _inner(item: Any, take: Callable[[int], None], depth: int) -> Any:
    kind = type(item)
    if kind not in _CONTAINERS and not hasattr(kind, "__hansa_names__"):
        refuse("VALUE_NOT_CANONICAL", f"a {kind.__name__} has no canonical form")
    return normal(item, take, depth - 1)


_CONTAINERS: Final = frozenset((dict, list, tuple))


def text_size(text: str) -> int:
    """1 and the bytes of its UTF-8 form. Refuses what has none: a lone surrogate."""
    if text.isascii():
        return 1 + len(text)
    try:
        return 1 + len(text.encode())
    except UnicodeEncodeError:
        refuse("VALUE_NOT_CANONICAL", "text that has no UTF-8 form")


def plain(value: Any) -> tuple[Any, int]:
    """(:func:`normal` copy, size) of a value of at most a megabyte."""
    size = 0

    def take(part: int) -> None:
        nonlocal size
        size += part
        if size > PLAIN_SIZE_MAX:
            refuse("VALUE_TOO_LARGE", f"larger than {PLAIN_SIZE_MAX}")

    return normal(value, take), size
