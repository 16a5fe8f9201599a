"""Guards of comparisons and of all that puts things in order.

``==`` and ``<`` on what is nested go by a recursion of our own, which takes steps for every item it
looks at: forty lists, each twice in the next, are 2**40 comparisons for Python's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from contracts.runtime.sizes import DATA, DEPTH_MAX, SCALARS, FieldsOf, Names, Sizes
from contracts.runtime.steps import ITEM, ITEM_LOOKED_AT, SORT_ITEM, TEXT_FREE, TEXT_UNIT


def comparisons(sizes: Sizes, fields_of: FieldsOf) -> Names:
    charge = sizes.charge
    key_in, size = sizes.key_in, sizes.size

    def eq(a: Any, b: Any) -> bool:
        kind = type(a)
        if kind is str or kind is bytes:
            if type(b) is kind and len(a) > TEXT_FREE:
                charge(len(a) // TEXT_UNIT)
            elif type(b) not in DATA:
                return False
            return bool(a == b)
        if kind is int or kind is bool or a is None:
            return bool(type(b) in SCALARS and a == b)
        return deep_eq(a, b, DEPTH_MAX)

    def deep_eq(a: Any, b: Any, depth: int) -> bool:
        charge(ITEM_LOOKED_AT)
        kind = type(a)
        if kind in SCALARS:
            return eq(a, b)
        if kind is not type(b):
            return False
        if depth == 0:
            raise ValueError("nested too deep to compare")
        if kind is list or kind is tuple:
            if len(a) != len(b):
                return False
            return all(deep_eq(a[index], b[index], depth - 1) for index in range(len(a)))
        if kind is dict:
            if len(a) != len(b):
                return False
            for name in a:
                key_in(name, b)
                if name not in b or not deep_eq(a[name], b[name], depth - 1):
                    return False
            return True
        if kind is range:
            return bool(a == b)
        fields = fields_of(kind)
        if fields is None:
            raise TypeError("not comparable")
        return all(deep_eq(getattr(a, name), getattr(b, name), depth - 1) for name in fields)

    def ne(a: Any, b: Any) -> bool:
        return not eq(a, b)

    def lt(a: Any, b: Any) -> bool:
        kind = type(a)
        if kind is int or kind is bool:
            return bool(a < b)
        if kind is str or kind is bytes:
            size(a)
            return bool(a < b)
        return deep_lt(a, b, DEPTH_MAX)

    def deep_lt(a: Any, b: Any, depth: int) -> bool:
        charge(ITEM_LOOKED_AT)
        kind = type(a)
        if kind in SCALARS:
            size(a) if kind is str or kind is bytes else None
            return bool(a < b)
        if (kind is not list and kind is not tuple) or kind is not type(b):
            raise TypeError("no order")
        if depth == 0:
            raise ValueError("nested too deep to compare")
        for index in range(min(len(a), len(b))):
            if not deep_eq(a[index], b[index], depth - 1):
                return deep_lt(a[index], b[index], depth - 1)
        return len(a) < len(b)

    def gt(a: Any, b: Any) -> bool:
        return lt(b, a)

    def le(a: Any, b: Any) -> bool:
        if isinstance(a, int):
            return bool(a <= b)
        return not lt(b, a)

    def ge(a: Any, b: Any) -> bool:
        if isinstance(a, int):
            return bool(a >= b)
        return not lt(a, b)

    def within(value: Any, container: Any) -> bool:
        kind = type(container)
        if kind is dict:
            return key_in(value, container) in container
        if kind is str or kind is bytes:
            if kind is not type(value):
                raise TypeError("in a text stands text")
            sizes.seek(value, container)
            return value in container
        if kind is list or kind is tuple:
            simple = type(value)
            if simple in SCALARS:
                each = ITEM_LOOKED_AT
                if (simple is str or simple is bytes) and len(value) > TEXT_FREE:
                    each += len(value) // TEXT_UNIT
                charge(len(container) * each)
                return value in container
            for index in range(len(container)):
                if deep_eq(container[index], value, DEPTH_MAX):
                    return True
            return False
        if kind is range:
            if not isinstance(value, int):
                raise TypeError("in a range stands a whole number")
            return value in container
        if kind in DATA or not hasattr(kind, "__contains__"):
            raise TypeError("in nothing")
        return bool(value in container)  # a map of the contract: it checks its keys

    def without(value: Any, container: Any) -> bool:
        return not within(value, container)

    return {
        "eq": eq,
        "ne": ne,
        "lt": lt,
        "le": le,
        "gt": gt,
        "ge": ge,
        "within": within,
        "without": without,
    }


def _weight(values: Any, charge: Callable[[int], None]) -> int:
    """The most characters that one of the things to be ordered has; TypeError if it can't be."""
    most = 0
    charge(len(values) * ITEM_LOOKED_AT)
    for value in values:
        kind = type(value)
        if kind is str or kind is bytes:
            most = max(most, len(value))
        elif kind is tuple:
            charge(len(value))
            length = 0
            for part in value:
                inner = type(part)
                if inner is str or inner is bytes:
                    length += len(part)
                elif inner not in SCALARS:
                    raise TypeError("no order")
                length += 1
            most = max(most, length * TEXT_UNIT)
        elif kind not in SCALARS:
            raise TypeError("no order")
    return most


def ordering(sizes: Sizes) -> Names:
    charge, items = sizes.charge, sizes.items

    def ordered(values: Any, keyed: Any, weight: int) -> Any:
        """The keys of things to be put in order, charged."""
        if keyed is not None:
            values = tuple(values)  # the key may change the list that it is called for
            charge(len(values) * (weight + ITEM))
            values = [keyed(value) for value in values]
        return values

    def in_order(values: list[Any], keyed: Any, reverse: Any, weight: int) -> list[Any]:
        keys = ordered(values, keyed, weight)
        count = len(keys)
        heavy = 1 + max(0, _weight(keys, charge) - TEXT_FREE) // (TEXT_UNIT * 2)
        charge(count * count.bit_length() * SORT_ITEM * heavy)
        if keyed is None:
            return sorted(values, reverse=bool(reverse))
        order = sorted(range(count), key=keys.__getitem__, reverse=bool(reverse))
        return [values[index] for index in order]

    def sort(values: Any, *, key: Any = None, reverse: Any = False, h__weight: int = 0) -> Any:
        found = items(values)
        return in_order(found if type(found) is list else list(found), key, reverse, h__weight)

    def extreme(pick: Callable[..., Any]) -> Callable[..., Any]:
        def guard(*values: Any, key: Any = None, h__weight: int = 0, **default: Any) -> Any:
            found = items(values[0]) if len(values) == 1 else values
            found = found if key is None else tuple(found)
            if not found:
                if default:
                    return default["default"]
                raise ValueError("nothing to choose from")
            keys = ordered(found, key, h__weight)
            charge(len(keys) * (ITEM_LOOKED_AT + _weight(keys, charge) // TEXT_UNIT))
            if key is None:
                return pick(found)
            return found[pick(range(len(keys)), key=keys.__getitem__)]

        return guard

    return {"in_order": in_order, "sorted": sort, "max": extreme(max), "min": extreme(min)}
