"""Guards: the operations whose cost or result hangs on their operands.

Instrumented code calls these instead of an operator, a method or a built-in function. Each looks at
exact types, takes the steps by size before it works, and bounds what it makes. What comes out is
never a matter of the Python version: texts go by ASCII alone, maps give lists, errors are errors on
every version.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from contracts.runtime.steps import (
    ENTRY,
    INT_KEY_UNIT,
    ITEM,
    ITEM_LOOKED_AT,
    SDK_BYTE,
    SDK_FUNCTION,
    SORT_ITEM,
    TEXT_FREE,
    TEXT_UNIT,
    Meter,
)
from contracts.sdk.errors import BadValue

TEXT_MAX: Final = 1 << 20  # characters of a text, bytes of bytes
ITEMS_MAX: Final = 100_000  # of a list, a tuple or a map
INT_KEY_LIMIT: Final = 1 << 60  # below it, the hash of a whole number is the number
INT_KEYS_MAX: Final = 1_000  # entries of a map that takes whole numbers as keys: these can collide
INT_LIMIT: Final = 1 << 256
INT_BITS: Final = 256
DEPTH_MAX: Final = 16  # of values that are compared
NEEDLE_MAX: Final = 100

_SCALARS: Final = frozenset((bool, bytes, int, str, type(None)))
_KEYS: Final = frozenset((bytes, int, str))
_SEQUENCES: Final = frozenset((list, range, tuple))
_DATA: Final = frozenset((bool, bytes, dict, int, list, range, str, tuple, type(None)))
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,78}")


class Guards:
    """The guards of one loaded package. ``names`` maps each to its name in instrumented code.

    ``fields_of`` tells the field names of a record class, None for what is no record class.
    """

    def __init__(self, meter: Meter, fields_of: Callable[[type], tuple[str, ...] | None]) -> None:
        self.names: dict[str, Any] = {}
        basics = _basics(meter)
        for make in (_operators, _comparisons, _containers, _builtins, _texts, _methods):
            made = make(meter, basics, fields_of)
            self.names.update(made)
            basics = {**made, **basics}
        self.names.update(basics)


Names = dict[str, Any]
FieldsOf = Callable[[type], tuple[str, ...] | None]


def _basics(meter: Meter) -> Names:
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
        if kind in _DATA:
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

    return {
        "size": size,
        "fit": fit,
        "room": room,
        "items": items,
        "key": key,
        "key_in": key_in,
        "new_key": new_key,
    }


def _operators(meter: Meter, basics: Names, fields_of: FieldsOf) -> Names:
    fit, room, new_key = basics["fit"], basics["room"], basics["new_key"]

    def bounded(value: int) -> int:
        if -INT_LIMIT < value < INT_LIMIT:
            return value
        raise OverflowError("beyond 256 bits")

    def add(a: Any, b: Any) -> Any:
        kind = type(a)
        if kind is int or kind is bool:
            value = a + b
            if -INT_LIMIT < value < INT_LIMIT:
                return value
            raise OverflowError("beyond 256 bits")
        if kind is not type(b):
            raise TypeError("unlike operands")
        if kind is str or kind is bytes:
            fit(len(a) + len(b))
        elif kind is list or kind is tuple:
            room(len(a) + len(b))
        else:
            raise TypeError("no sum")
        return a + b

    def iadd(a: Any, b: Any) -> Any:
        """``a += b``: a list grows in place."""
        if type(a) is list:
            more = basics["items"](b)
            room(len(a) + len(more))
            a.extend(more)
            return a
        return add(a, b)

    def sub(a: Any, b: Any) -> Any:
        value = a - b
        if -INT_LIMIT < value < INT_LIMIT:
            return value
        raise OverflowError("beyond 256 bits")

    def mul(a: Any, b: Any) -> Any:
        if isinstance(a, int) and isinstance(b, int):
            return bounded(a * b)
        if type(a) is int:
            a, b = b, a
        if type(b) is not int:
            raise TypeError("no product")
        kind = type(a)
        times = b if b > 0 else 0
        if kind is str or kind is bytes:
            fit(len(a) * times)
        elif kind is list or kind is tuple:
            room(len(a) * times)
        else:
            raise TypeError("no product")
        return a * times

    def mod(a: Any, b: Any) -> Any:
        if isinstance(a, int) and isinstance(b, int):
            return a % b
        raise TypeError("% is for whole numbers")

    def power(a: Any, b: Any) -> Any:
        if not (isinstance(a, int) and isinstance(b, int)):
            raise TypeError("** is for whole numbers")
        if b < 0:
            raise ValueError("a negative exponent")
        if abs(a) > 1 and (b > INT_BITS or (abs(a).bit_length() - 1) * b > INT_BITS):
            raise OverflowError("beyond 256 bits")
        return bounded(a ** min(b, INT_BITS + b % 2))

    def lshift(a: Any, b: Any) -> Any:
        if isinstance(a, int) and isinstance(b, int):
            if b > INT_BITS:
                raise OverflowError("beyond 256 bits")
            return bounded(a << b)
        raise TypeError("<< is for whole numbers")

    def imul(a: Any, b: Any) -> Any:
        """``a *= b``: a list grows in place."""
        if type(a) is list and type(b) is int:
            a[:] = mul(a, b)
            return a
        return mul(a, b)

    def bitor(a: Any, b: Any) -> Any:
        if type(a) is dict and type(b) is dict:
            meter.charge(len(a) * ENTRY)
            return ior(dict(a), b)
        return bits(a, b)

    def ior(a: Any, b: Any) -> Any:
        """``a |= b``: a map takes over another's entries in place."""
        if type(a) is dict and type(b) is dict:
            meter.charge(len(b) * ENTRY)
            if len(a) + len(b) > ITEMS_MAX:
                raise ValueError("too many items")
            for name in b:
                new_key(name, a)
            a.update(b)
            return a
        return bits(a, b)

    def bitand(a: Any, b: Any) -> Any:
        return bounded(a & b)

    def bitxor(a: Any, b: Any) -> Any:
        return bounded(a ^ b)

    def bits(a: Any, b: Any) -> Any:
        if isinstance(a, int) and isinstance(b, int):
            return bounded(a | b)
        raise TypeError("| is for whole numbers and maps")

    return {
        "add": add,
        "iadd": iadd,
        "sub": sub,
        "mul": mul,
        "mod": mod,
        "power": power,
        "lshift": lshift,
        "bitor": bitor,
        "bitand": bitand,
        "bitxor": bitxor,
        "imul": imul,
        "ior": ior,
    }


def _comparisons(meter: Meter, basics: Names, fields_of: FieldsOf) -> Names:
    charge = meter.charge
    key_in, size = basics["key_in"], basics["size"]

    def eq(a: Any, b: Any) -> bool:
        kind = type(a)
        if kind is str or kind is bytes:
            if type(b) is kind and len(a) > TEXT_FREE:
                charge(len(a) // TEXT_UNIT)
            elif type(b) not in _DATA:
                return False
            return bool(a == b)
        if kind is int or kind is bool or a is None:
            return bool(type(b) in _SCALARS and a == b)
        return deep_eq(a, b, DEPTH_MAX)

    def deep_eq(a: Any, b: Any, depth: int) -> bool:
        charge(ITEM_LOOKED_AT)
        kind = type(a)
        if kind in _SCALARS:
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
        if kind in _SCALARS:
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
            seek(value, container)
            return value in container
        if kind is list or kind is tuple:
            simple = type(value)
            if simple in _SCALARS:
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
        if kind in _DATA or not hasattr(kind, "__contains__"):
            raise TypeError("in nothing")
        return bool(value in container)  # a map of the contract: it checks its keys

    def without(value: Any, container: Any) -> bool:
        return not within(value, container)

    def seek(needle: Any, text: Any, needle_max: int = NEEDLE_MAX) -> None:
        """Take the steps for looking for a text in another."""
        length = len(text)
        if length > TEXT_FREE:
            charge(length * (16 + min(len(needle), needle_max)) // (16 * TEXT_UNIT))

    return {
        "eq": eq,
        "ne": ne,
        "lt": lt,
        "le": le,
        "gt": gt,
        "ge": ge,
        "within": within,
        "without": without,
        "seek": seek,
    }


def _containers(meter: Meter, basics: Names, fields_of: FieldsOf) -> Names:
    fit, room, items, key_in, new_key = (
        basics[name] for name in ("fit", "room", "items", "key_in", "new_key")
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
            meter.charge(len(container) // TEXT_UNIT)
        else:
            raise TypeError("an entry is deleted from a list or a map")
        del container[index]

    def cut(value: Any, start: Any, stop: Any, step: Any) -> Any:
        kind = type(value)
        part = slice(start, stop, step)
        if kind is not str and kind is not bytes and kind not in _SEQUENCES:
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
        meter.charge(len(value) * ENTRY)
        return value

    def whole(value: Any) -> Any:
        """A list, tuple or map as it was displayed, if it is not too long."""
        if len(value) > ITEMS_MAX:
            raise ValueError("too many items")
        return value

    def through(value: Any) -> Any:
        """What a for loop goes through. A map's keys as they are now."""
        if type(value) is dict:
            meter.charge(len(value) * ENTRY)
            return list(value)
        return value

    def each(value: Any, weight: int) -> Any:
        """What a comprehension goes through: what was there when it began."""
        kind = type(value)
        if kind is range or kind is list or kind is tuple or kind is str or kind is bytes:
            length = len(value)
            if length > ITEMS_MAX:
                raise ValueError("too many items")
            meter.charge(length * weight)
            return value[:] if kind is list else value
        if kind is dict:
            meter.charge(len(value) * (weight + ENTRY))
            return list(value)
        if kind in _DATA:
            raise TypeError("nothing to go through")
        return scanned(value, weight)

    def scanned(value: Iterable[Any], weight: int) -> Any:
        for count, item in enumerate(value):
            meter.charge(weight)
            if count >= ITEMS_MAX:
                raise ValueError("too many items")
            yield item

    def own(value: Any) -> Any:
        """A thing whose attribute is asked for, when plain data have an attribute of that name."""
        if type(value) in _DATA or isinstance(value, BaseException):
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
                elif inner not in _SCALARS:
                    raise TypeError("no order")
                length += 1
            most = max(most, length * TEXT_UNIT)
        elif kind not in _SCALARS:
            raise TypeError("no order")
    return most


def _builtins(meter: Meter, basics: Names, fields_of: FieldsOf) -> Names:
    charge = meter.charge
    room, items, new_key = (basics[name] for name in ("room", "items", "new_key"))

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
        known = [len(value) for value in values if type(value) in _DATA and type(value) is not int]
        bound = min(known, default=ITEMS_MAX)
        columns = []
        for value in values:
            if type(value) in _DATA:
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
        "max": extreme(max),
        "min": extreme(min),
        "range": range,
        "reversed": backwards,
        "sorted": sort,
        "str": text,
        "sum": total,
        "tuple": tupled,
        "zip": zipped,
        "in_order": in_order,
        "pairs": pairs,
        "t_bool": bool,
        "t_bytes": bytes,
        "t_dict": dict,
        "t_int": int,
        "t_list": list,
        "t_str": str,
        "t_tuple": tuple,
    }


def _texts(meter: Meter, basics: Names, fields_of: FieldsOf) -> Names:
    fit = basics["fit"]

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


def _methods(meter: Meter, basics: Names, fields_of: FieldsOf) -> Names:
    from contracts.runtime.methods import methods

    return methods(meter, basics, fields_of, _comparisons(meter, basics, fields_of))


def charged(meter: Meter, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of the SDK for contract code: scalars in, charged by their size."""

    def guard(*args: Any, **named: Any) -> Any:
        size = 0
        for value in (*args, *named.values()):
            kind = type(value)
            if kind is str or kind is bytes:
                size += len(value)
            elif kind not in _SCALARS:
                raise TypeError("functions of the SDK take plain values")
        meter.charge(SDK_FUNCTION + SDK_BYTE * size)
        return function(*args, **named)

    return guard
