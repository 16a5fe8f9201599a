"""What things of a size cost, and how large they may be: the ground of all guards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from contracts.runtime.steps import (
    ENTRY,
    INT_KEY_UNIT,
    ITEM,
    SEEK_UNIT,
    TEXT_FREE,
    TEXT_UNIT,
    Meter,
)

TEXT_MAX: Final = 1 << 20  # characters of a text, bytes of bytes
ITEMS_MAX: Final = 100_000  # of a list, a tuple or a map
INT_KEY_LIMIT: Final = 1 << 60  # below it, the hash of a whole number is the number
INT_KEYS_MAX: Final = 1_000  # entries of a map that takes whole numbers as keys: these can collide
INT_LIMIT: Final = 1 << 256
INT_BITS: Final = 256
DEPTH_MAX: Final = 16  # of values that are compared
LETTER_BY_LETTER: Final = 2_500  # letters of a text in which any needle may take its whole length
NEEDLE_MAX: Final = 100  # letters of a needle that count in a longer one

SCALARS: Final = frozenset((bool, bytes, int, str, type(None)))
SEQUENCES: Final = frozenset((list, range, tuple))
DATA: Final = frozenset((bool, bytes, dict, int, list, range, str, tuple, type(None)))


Names = dict[str, Any]  # guards by their names, without the prefix of instrumented code
FieldsOf = Callable[[type], tuple[str, ...] | None]  # a record class's fields; None: no record


class Sizes(NamedTuple):
    """Takes the steps for work by its size, on one meter, before it is done.

    Each raises OutOfSteps when they are spent, ValueError for what would be too large, TypeError
    for what is of no kind that the work is for.
    """

    charge: Callable[[int], None]
    size: Callable[[Any], None]
    fit: Callable[[int], None]
    room: Callable[[int], None]
    items: Callable[[Any], Any]
    key: Callable[[Any], Any]
    key_in: Callable[[Any, Any], Any]
    new_key: Callable[[Any, Any], Any]
    seek: Callable[..., None]


def sizes_of(meter: Meter) -> Sizes:
    def size(value: Any) -> None:
        """Take the steps for text or bytes read or made."""
        length = len(value)
        if length > TEXT_FREE:
            meter.charge(length // TEXT_UNIT)

    def fit(length: int) -> None:
        """Take the steps for text or bytes of a length that will be made."""
        if length > TEXT_FREE:
            if length > TEXT_MAX:
                raise ValueError("text too long")
            meter.charge(length // TEXT_UNIT)

    def room(count: int) -> None:
        """Take the steps for a list of a length that will be made."""
        if count > ITEMS_MAX:
            raise ValueError("too many items")
        meter.charge(count * ITEM)

    def items(value: Any) -> Any:
        """What a function goes through, as a list or tuple that stays as it is."""
        kind = type(value)
        if kind is list or kind is tuple:
            meter.charge(len(value) * ITEM)
            return value
        if kind is dict:
            meter.charge(len(value) * ENTRY)
            return list(value)
        if kind in DATA:
            if kind is not range and kind is not str and kind is not bytes:
                raise TypeError("nothing to go through")
            room(len(value))
            # New objects, but for a byte's: they take memory.
            meter.charge(len(value) * (ENTRY if kind is str else 0 if kind is bytes else 2))
            return list(value)
        found = []
        for item in value:  # a scan: each entry is charged where it is read
            found.append(item)
            if len(found) > ITEMS_MAX:
                raise ValueError("too many items")
        return found

    def key(value: Any) -> Any:
        """A key of a map: exactly text, bytes or a whole number."""
        kind = type(value)
        if kind is str or kind is bytes:
            if len(value) > TEXT_FREE:
                meter.charge(len(value) // TEXT_UNIT)
            return value
        if kind is int and -INT_KEY_LIMIT < value < INT_KEY_LIMIT:
            return value
        raise TypeError("a key is text, bytes or a whole number below 2**60")

    def key_in(value: Any, mapping: Any) -> Any:
        """A key that a map is asked for. Ints have no secret in their hash: they can collide."""
        kind = type(value)
        if kind is str or kind is bytes:
            if len(value) > TEXT_FREE:
                meter.charge(len(value) // TEXT_UNIT)
            return value
        if kind is int and -INT_KEY_LIMIT < value < INT_KEY_LIMIT:
            if len(mapping) > INT_KEY_UNIT:
                meter.charge(len(mapping) // INT_KEY_UNIT)
            return value
        raise TypeError("a key is text, bytes or a whole number below 2**60")

    def new_key(value: Any, mapping: Any) -> Any:
        """A key under which a map may get a new entry."""
        count = len(mapping)
        if count >= INT_KEYS_MAX and (count >= ITEMS_MAX or type(value) is int):
            raise ValueError("too many entries")
        return key_in(value, mapping)

    def seek(needle: Any, text: Any, needle_max: int = NEEDLE_MAX) -> None:
        """Take the steps for looking for a text in another.

        CPython compares the two letter by letter in short texts, and for short needles.
        """
        length, sought = len(text), len(needle)
        if length > TEXT_FREE:
            if length >= LETTER_BY_LETTER:
                sought = min(sought, needle_max)
            meter.charge(length * (SEEK_UNIT + sought) // (SEEK_UNIT * TEXT_UNIT))

    return Sizes(meter.charge, size, fit, room, items, key, key_in, new_key, seek)
