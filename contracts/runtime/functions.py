"""Guards of the built-in functions, of f-strings and of the SDK's functions."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from contracts.runtime.sizes import DATA, INT_BITS, INT_LIMIT, ITEMS_MAX, SCALARS, Names, Sizes
from contracts.runtime.steps import ENTRY, SDK_BYTE, SDK_FUNCTION
from contracts.sdk.errors import BadValue
from contracts.sdk.values import normal

_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,78}")


def functions(sizes: Sizes) -> Names:
    charge = sizes.charge
    room, items, new_key = sizes.room, sizes.items, sizes.new_key

    def total(values: Any, start: Any = 0) -> Any:
        if not isinstance(start, int):
            raise TypeError("a sum is of whole numbers")
        value = sum(items(values), start)
        if -INT_LIMIT < value < INT_LIMIT:
            return value
        raise OverflowError("beyond 256 bits")

    def integer(value: Any = 0) -> int:
        kind = type(value)
        if kind is int or kind is bool:
            return int(value)
        if kind is str:
            if len(value) <= INT_BITS and _NUMBER.fullmatch(value):
                found = int(value)
                if -INT_LIMIT < found < INT_LIMIT:
                    return found
            raise BadValue("not a whole number")
        raise TypeError("no whole number")

    def text(value: Any = "") -> str:
        kind = type(value)
        if kind is str:
            return str(value)
        if kind is int or kind is bool or value is None:
            return str(value)
        raise TypeError("only text, whole numbers, True, False and None are written out")

    def octets(value: Any = b"") -> bytes:
        if type(value) is bytes:
            return bytes(value)
        if type(value) is not list and type(value) is not tuple:
            raise TypeError("bytes are made of a list of numbers")
        room(len(value))
        return bytes(value)

    def listed(value: Any = ()) -> list[Any]:
        return list(items(value))

    def tupled(value: Any = ()) -> tuple[Any, ...]:
        return tuple(items(value))

    def mapping(value: Any = (), **more: Any) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        if type(value) is dict:
            charge(len(value) * ENTRY)
            found = dict(value)
        else:
            for pair in items(value):
                charge(ENTRY)
                if (type(pair) is not tuple and type(pair) is not list) or len(pair) != 2:
                    raise TypeError("a map is made of pairs")
                new_key(pair[0], found)
                found[pair[0]] = pair[1]
        found.update(more)
        return found

    def pairs(value: list[tuple[Any, Any]]) -> dict[Any, Any]:
        """A map comprehension, of its keys and values."""
        found: dict[Any, Any] = {}
        for name, item in value:
            new_key(name, found)
            found[name] = item
        return found

    def enumerated(value: Any, start: Any = 0) -> list[tuple[int, Any]]:
        if type(start) is not int:
            raise TypeError("a start is a whole number")
        found = items(value)
        charge(len(found) * ENTRY)
        return list(enumerate(found, start))

    def zipped(*values: Any, strict: Any = False) -> list[tuple[Any, ...]]:
        """Side by side, as far as the shortest goes. A scan is read only that far."""
        charge(len(values) * ENTRY)
        known = [len(value) for value in values if type(value) in DATA and type(value) is not int]
        bound = min(known, default=ITEMS_MAX)
        columns = []
        for value in values:
            if type(value) in DATA:
                columns.append(items(value) if type(value) is not range else value)
            else:
                columns.append(taken(value, bound + bool(strict)))
        charge(min(map(len, columns), default=0) * (ENTRY + len(columns)))
        if strict and len(set(map(len, columns))) > 1:
            raise ValueError("columns of unlike lengths")
        if min(map(len, columns), default=0) > ITEMS_MAX:
            raise ValueError("too many items")
        return list(zip(*columns, strict=False))

    def taken(value: Any, count: int) -> list[Any]:
        found: list[Any] = []
        if count == 0:
            return found
        for item in value:
            found.append(item)
            if len(found) >= count:
                break
        return found

    def backwards(value: Any) -> list[Any]:
        found = items(value)
        return list(found[::-1])

    def every(value: Any) -> bool:
        return all(items(value))

    def some(value: Any) -> bool:
        return any(items(value))

    return {
        "abs": abs,
        "all": every,
        "any": some,
        "bool": bool,
        "bytes": octets,
        "dict": mapping,
        "divmod": divmod,
        "enumerate": enumerated,
        "int": integer,
        "isinstance": isinstance,
        "len": len,
        "list": listed,
        "range": range,
        "reversed": backwards,
        "str": text,
        "sum": total,
        "tuple": tupled,
        "zip": zipped,
        "pairs": pairs,
        "t_bool": bool,
        "t_bytes": bytes,
        "t_dict": dict,
        "t_int": int,
        "t_list": list,
        "t_str": str,
        "t_tuple": tuple,
    }


def texts(sizes: Sizes) -> Names:
    fit = sizes.fit

    def text(value: Any) -> str:
        """A value in an f-string."""
        kind = type(value)
        if kind is str:
            return str(value)
        if kind is int or kind is bool or value is None:
            return str(value)
        raise TypeError("an f-string takes text, whole numbers, True, False and None")

    def written(*parts: Any) -> str:
        """An f-string of its parts."""
        found = [part if type(part) is str else text(part) for part in parts]
        fit(sum(map(len, found)))
        return "".join(found)

    def padded(value: Any, width: int, zeros: bool) -> str:
        """A whole number in a field of a width."""
        if type(value) is not int:
            raise TypeError("a width is for whole numbers")
        found = str(abs(value))
        sign = "-" if value < 0 else ""
        if zeros:
            return sign + "0" * (width - len(found) - len(sign)) + found
        return " " * (width - len(found) - len(sign)) + sign + found

    return {"written": written, "padded": padded}


def charged(sizes: Sizes, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of the SDK for contract code, charged by the size of its arguments.

    Lists, maps and records reach it as plain copies, as an event's fields would.
    """
    charge = sizes.charge

    def take(size: int) -> None:
        charge(SDK_BYTE * size)

    def taken(value: Any) -> Any:
        kind = type(value)
        if kind is str or kind is bytes:
            take(len(value))
            return value
        return value if kind in SCALARS else normal(value, take)

    def guard(*args: Any, **named: Any) -> Any:
        charge(SDK_FUNCTION)
        return function(
            *[taken(value) for value in args],
            **{name: taken(value) for name, value in named.items()},
        )

    return guard
