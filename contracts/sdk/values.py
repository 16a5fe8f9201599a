"""Canonical values within the bounds that receipts and state can carry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from consensus.primitives.codec import INT_MAX, INT_MIN
from contracts.sdk.errors import refuse

VALUE_DEPTH_MAX: Final = 16
VALUE_ITEMS_MAX: Final = 1024
PLAIN_SIZE_MAX: Final = 1 << 20

_STRINGS: Final = frozenset((str,))


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
        if len(value) > VALUE_ITEMS_MAX:
            refuse("VALUE_TOO_LARGE", f"{len(value)} items, more than {VALUE_ITEMS_MAX}")
        if not _STRINGS.issuperset(map(type, value)):
            refuse("VALUE_NOT_CANONICAL", "map keys must be text")
        keys = sorted(value)
        take(sum(map(len, keys)) + len(keys))
        if not all(map(str.isascii, keys)):
            take(sum(map(text_size, keys)))
        return dict(zip(keys, row([value[key] for key in keys], take, depth)))  # noqa: B905
    if kind is list or kind is tuple:
        return row(value, take, depth)
    names = getattr(kind, "__hansa_names__", None)
    if names is not None:
        return normal({name: getattr(value, name) for name in names}, take, depth)
    if value is None:
        take(1)
        return None
    return row((value,), take, 1)[0]


def row(
    items: Sequence[Any], take: Callable[[int], None], depth: int = VALUE_DEPTH_MAX
) -> list[Any]:
    """:func:`normal` of a list or tuple."""
    if depth == 0:
        refuse("VALUE_TOO_LARGE", f"nested deeper than {VALUE_DEPTH_MAX} levels")
    if len(items) > VALUE_ITEMS_MAX:
        refuse("VALUE_TOO_LARGE", f"{len(items)} items, more than {VALUE_ITEMS_MAX}")
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
        elif kind in _CONTAINERS or hasattr(kind, "__hansa_names__"):
            made.append(normal(item, take, depth - 1))
            continue
        else:
            refuse("VALUE_NOT_CANONICAL", f"a {kind.__name__} has no canonical form")
        made.append(item)
    take(size)
    return made


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
