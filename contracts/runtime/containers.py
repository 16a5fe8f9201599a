"""Guards of indexes, slices, displays, loops and comprehensions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from contracts.runtime.sizes import DATA, ITEMS_MAX, SEQUENCES, FieldsOf, Names, Sizes
from contracts.runtime.steps import ENTRY, TEXT_UNIT


def containers(sizes: Sizes, fields_of: FieldsOf) -> Names:
    fit, room, items, key_in, new_key = (
        sizes.fit,
        sizes.room,
        sizes.items,
        sizes.key_in,
        sizes.new_key,
    )

    def get(container: Any, index: Any) -> Any:
        if type(container) is dict:
            return container[key_in(index, container)]
        if type(index) is not int:
            raise TypeError("an index is a whole number")
        return container[index]

    def put(value: Any, container: Any, index: Any) -> None:
        if type(container) is dict:
            new_key(index, container)
        elif type(container) is not list or type(index) is not int:
            raise TypeError("an entry is set in a list or a map")
        container[index] = value

    def drop(container: Any, index: Any) -> None:
        if type(container) is dict:
            key_in(index, container)
        elif type(container) is list and type(index) is int:
            sizes.charge(len(container) // TEXT_UNIT)
        else:
            raise TypeError("an entry is deleted from a list or a map")
        del container[index]

    def cut(value: Any, start: Any, stop: Any, step: Any) -> Any:
        kind = type(value)
        part = slice(start, stop, step)
        if kind is not str and kind is not bytes and kind not in SEQUENCES:
            raise TypeError("no slice")
        if kind is not range:
            length = len(range(*part.indices(len(value))))
            fit(length) if kind is str or kind is bytes else room(length)
        return value[part]

    def star(value: Any) -> Any:
        return items(value)

    def spread(value: Any) -> Any:
        """The ``d`` of ``**d``."""
        if type(value) is not dict:
            raise TypeError("** takes a map")
        sizes.charge(len(value) * ENTRY)
        return value

    def whole(value: Any) -> Any:
        """A list, tuple or map as it was displayed, if it is not too long."""
        if len(value) > ITEMS_MAX:
            raise ValueError("too many items")
        return value

    def through(value: Any) -> Any:
        """What a for loop goes through. A map's keys as they are now."""
        if type(value) is dict:
            sizes.charge(len(value) * ENTRY)
            return list(value)
        return value

    def each(value: Any, weight: int) -> Any:
        """What a comprehension goes through: what was there when it began."""
        kind = type(value)
        if kind is range or kind is list or kind is tuple or kind is str or kind is bytes:
            length = len(value)
            if length > ITEMS_MAX:
                raise ValueError("too many items")
            sizes.charge(length * weight)
            return value[:] if kind is list else value
        if kind is dict:
            sizes.charge(len(value) * (weight + ENTRY))
            return list(value)
        if kind in DATA:
            raise TypeError("nothing to go through")
        return scanned(value, weight)

    def scanned(value: Iterable[Any], weight: int) -> Any:
        for count, item in enumerate(value):
            sizes.charge(weight)
            if count >= ITEMS_MAX:
                raise ValueError("too many items")
            yield item

    def own(value: Any) -> Any:
        """A thing whose attribute is asked for, when plain data have an attribute of that name."""
        if type(value) in DATA or isinstance(value, BaseException):
            raise TypeError("no such attribute")
        if fields_of(type(value)) is None:
            raise TypeError("no such attribute")
        return value

    def caught(error: BaseException) -> None:
        """An error that a handler has named: without the frames that it came through."""
        error.__traceback__ = error.__context__ = error.__cause__ = None

    return {
        "get": get,
        "put": put,
        "drop": drop,
        "cut": cut,
        "star": star,
        "spread": spread,
        "whole": whole,
        "through": through,
        "each": each,
        "own": own,
        "caught": caught,
    }
