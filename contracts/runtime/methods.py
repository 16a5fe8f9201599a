"""Guards of the methods that text, bytes, lists and maps have.

A guard takes the object first. What is none of these types, a map of the contract, has its own
method called.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from contracts.runtime.sizes import DATA, ITEMS_MAX, NEEDLE_MAX, TEXT_MAX, Names, Sizes
from contracts.runtime.steps import ENTRY, ITEM_LOOKED_AT, TEXT_UNIT

_WHITE: Final = " \t\n\r\x0b\x0c"
_WHITES: Final = re.compile("[ \t\n\r\x0b\x0c]+")


def methods(sizes: Sizes, eq: Callable[..., bool], in_order: Callable[..., Any]) -> Names:
    """The guards by their names in instrumented code."""
    found: Names = {}
    for made in (_lists(sizes, eq, in_order), _maps(sizes), _texts(sizes), _searches(sizes)):
        found.update({f"m_{name}": guard for name, guard in made.items()})
    return found


def other(value: Any) -> Any:
    """What has a method of its own: nothing that is plain data."""
    if type(value) in DATA or isinstance(value, BaseException):
        raise TypeError("no such method")
    return value


def _lists(sizes: Sizes, eq: Callable[..., bool], in_order: Callable[..., Any]) -> Names:
    charge, items, room = sizes.charge, sizes.items, sizes.room

    def append(xs: Any, *args: Any) -> Any:
        if type(xs) is list and len(args) == 1:
            if len(xs) >= ITEMS_MAX:
                raise ValueError("too many items")
            xs.append(args[0])
            return None
        return other(xs).append(*args)

    def extend(xs: Any, *args: Any) -> Any:
        if type(xs) is list and len(args) == 1:
            more = items(args[0])
            if len(xs) + len(more) > ITEMS_MAX:
                raise ValueError("too many items")
            charge(len(more))
            xs.extend(more)
            return None
        return other(xs).extend(*args)

    def insert(xs: Any, *args: Any) -> Any:
        if type(xs) is list and len(args) == 2:
            if len(xs) >= ITEMS_MAX:
                raise ValueError("too many items")
            charge(len(xs) // TEXT_UNIT)
            xs.insert(*args)
            return None
        return other(xs).insert(*args)

    def remove(xs: Any, *args: Any) -> Any:
        if type(xs) is list and len(args) == 1:
            charge(len(xs) // TEXT_UNIT)
            del xs[place(xs, args[0])]
            return None
        return other(xs).remove(*args)

    def place(xs: Any, value: Any) -> int:
        """The first place of a value; charged as far as it is looked for."""
        for index in range(len(xs)):
            charge(ITEM_LOOKED_AT)
            if eq(xs[index], value):
                return index
        raise ValueError("not in the list")

    def reverse(xs: Any, *args: Any) -> Any:
        if type(xs) is list and not args:
            charge(len(xs) // TEXT_UNIT)
            xs.reverse()
            return None
        return other(xs).reverse(*args)

    def sort(xs: Any, *, h__weight: int = 0, key: Any = None, reverse: Any = False) -> Any:
        if type(xs) is list:
            from_here = list(xs)
            xs[:] = in_order(from_here, key, reverse, h__weight)
            return None
        raise TypeError("no such method")

    def clear(xs: Any, *args: Any) -> Any:
        if type(xs) in (list, dict) and not args:
            charge(len(xs))
            xs.clear()
            return None
        return other(xs).clear(*args)

    def copy(xs: Any, *args: Any) -> Any:
        if type(xs) is list and not args:
            room(len(xs))
            return xs[:]
        if type(xs) is dict and not args:
            charge(len(xs) * ENTRY)
            return dict(xs)
        return other(xs).copy(*args)

    def pop(xs: Any, *args: Any) -> Any:
        if type(xs) is list and len(args) <= 1:
            if args:
                charge(len(xs) // TEXT_UNIT)
            return xs.pop(*args)
        if type(xs) is dict and 1 <= len(args) <= 2:
            sizes.key_in(args[0], xs)
            return xs.pop(*args)
        return other(xs).pop(*args)

    def count(xs: Any, *args: Any) -> Any:
        kind = type(xs)
        if (kind is str or kind is bytes) and len(args) == 1 and type(args[0]) is kind:
            sizes.seek(args[0], xs)
            return xs.count(args[0])
        if (kind is list or kind is tuple) and len(args) == 1:
            total = 0
            for index in range(len(xs)):
                charge(ITEM_LOOKED_AT)
                total += eq(xs[index], args[0])
            return total
        return other(xs).count(*args)

    def index(xs: Any, *args: Any) -> Any:
        kind = type(xs)
        if (kind is str or kind is bytes) and len(args) == 1 and type(args[0]) is kind:
            sizes.seek(args[0], xs)
            return xs.index(args[0])
        if (kind is list or kind is tuple) and len(args) == 1:
            return place(xs, args[0])
        return other(xs).index(*args)

    return {
        "append": append,
        "extend": extend,
        "insert": insert,
        "remove": remove,
        "reverse": reverse,
        "sort": sort,
        "clear": clear,
        "copy": copy,
        "pop": pop,
        "count": count,
        "index": index,
    }


def _maps(sizes: Sizes) -> Names:
    charge, key_in = sizes.charge, sizes.key_in

    def get(xs: Any, *args: Any) -> Any:
        if type(xs) is dict and 1 <= len(args) <= 2:
            key_in(args[0], xs)
            return xs.get(*args)
        return other(xs).get(*args)

    def setdefault(xs: Any, *args: Any) -> Any:
        if type(xs) is dict and 1 <= len(args) <= 2:
            sizes.new_key(args[0], xs)
            return xs.setdefault(*args)
        return other(xs).setdefault(*args)

    def update(xs: Any, *args: Any, **more: Any) -> Any:
        if type(xs) is dict and len(args) <= 1:
            for new in (*args, more):
                if type(new) is not dict:
                    raise TypeError("a map is updated by a map")
                charge(len(new) * ENTRY)
                if len(xs) + len(new) > ITEMS_MAX:
                    raise ValueError("too many items")
                for name in new:
                    sizes.new_key(name, xs)
                xs.update(new)
            return None
        return other(xs).update(*args, **more)

    def keys(xs: Any, *args: Any, **named: Any) -> Any:
        if type(xs) is dict and not args and not named:
            charge(len(xs) * ENTRY)
            return list(xs)
        return other(xs).keys(*args, **named)

    def values(xs: Any, *args: Any, **named: Any) -> Any:
        if type(xs) is dict and not args and not named:
            charge(len(xs) * ENTRY)
            return list(xs.values())
        return other(xs).values(*args, **named)

    def items(xs: Any, *args: Any, **named: Any) -> Any:
        if type(xs) is dict and not args and not named:
            charge(len(xs) * ENTRY)
            return list(xs.items())
        return other(xs).items(*args, **named)

    return {
        "get": get,
        "setdefault": setdefault,
        "update": update,
        "keys": keys,
        "values": values,
        "items": items,
    }


def _texts(sizes: Sizes) -> Names:
    size, fit = sizes.size, sizes.fit

    def plain(name: str, work: Callable[..., Any], kinds: tuple[type, ...] = (str,)) -> Any:
        """The guard of a method without arguments, that reads its text once."""

        def guard(text: Any, *args: Any) -> Any:
            if type(text) in kinds and not args:
                size(text)
                return work(text)
            return getattr(other(text), name)(*args)

        return guard

    def stripped(name: str, strip: Callable[..., str]) -> Any:
        def guard(text: Any, *args: Any) -> Any:
            if type(text) is str and len(args) <= 1:
                size(text)
                letters = args[0] if args else _WHITE
                if type(letters) is not str:
                    raise TypeError("letters are text")
                if len(letters) > 64:
                    raise ValueError("too many letters")
                return strip(text, letters)
            return getattr(other(text), name)(*args)

        return guard

    def padded(name: str, pad: Callable[..., str]) -> Any:
        def guard(text: Any, *args: Any) -> Any:
            if type(text) is str and 1 <= len(args) <= 2 and type(args[0]) is int:
                fit(max(len(text), args[0]))
                return pad(text, *args)
            return getattr(other(text), name)(*args)

        return guard

    def hexed(data: Any, *args: Any) -> Any:
        if type(data) is bytes and not args:
            fit(2 * len(data))
            return data.hex()
        return other(data).hex(*args)

    def upper(text: str) -> str:
        return text.upper() if text.isascii() else text.encode().upper().decode()  # ASCII alone

    def lower(text: str) -> str:
        return text.lower() if text.isascii() else text.encode().lower().decode()

    return {
        "upper": plain("upper", upper),
        "lower": plain("lower", lower),
        "capitalize": plain("capitalize", lambda text: upper(text[:1]) + lower(text[1:])),
        "isascii": plain("isascii", str.isascii),
        "isdigit": plain("isdigit", lambda text: text.isascii() and text.isdigit()),
        "isalpha": plain("isalpha", lambda text: text.isascii() and text.isalpha()),
        "isalnum": plain("isalnum", lambda text: text.isascii() and text.isalnum()),
        "encode": plain("encode", str.encode),
        "decode": plain("decode", bytes.decode, (bytes,)),
        "hex": hexed,
        "strip": stripped("strip", str.strip),
        "lstrip": stripped("lstrip", str.lstrip),
        "rstrip": stripped("rstrip", str.rstrip),
        "zfill": padded("zfill", lambda text, width: text.zfill(width)),
        "ljust": padded("ljust", str.ljust),
        "rjust": padded("rjust", str.rjust),
    }


def _searches(sizes: Sizes) -> Names:
    size, fit, room, seek = sizes.size, sizes.fit, sizes.room, sizes.seek

    def ends(name: str) -> Any:
        def guard(text: Any, *args: Any) -> Any:
            kind = type(text)
            if (kind is str or kind is bytes) and len(args) == 1:
                options = args[0] if type(args[0]) is tuple else args
                room(len(options))
                for option in options:
                    if type(option) is not kind:
                        raise TypeError("unlike texts")
                    size(option)
                return getattr(text, name)(args[0])
            return getattr(other(text), name)(*args)

        return guard

    def seeking(name: str) -> Any:
        """find, rfind, partition, ...: a text in which one other text is looked for."""

        def guard(text: Any, *args: Any) -> Any:
            kind = type(text)
            if (kind is str or kind is bytes) and len(args) == 1:
                if type(args[0]) is not kind:
                    raise TypeError("unlike texts")
                # From the right, CPython compares the whole text sought at every place.
                seek(args[0], text, TEXT_MAX if name.startswith("r") else NEEDLE_MAX)
                size(text)
                return getattr(text, name)(args[0])
            return getattr(other(text), name)(*args)

        return guard

    def replace(text: Any, *args: Any) -> Any:
        kind = type(text)
        if (kind is str or kind is bytes) and len(args) == 2:
            old, new = args
            if type(old) is not kind or type(new) is not kind:
                raise TypeError("unlike texts")
            seek(old, text)
            times = text.count(old)
            fit(len(text) + times * (len(new) - len(old)))
            size(text)
            return text.replace(old, new)
        return other(text).replace(*args)

    def split(text: Any, *args: Any) -> Any:
        kind = type(text)
        if kind is str and not args:
            size(text)
            room(len(text) // 2 + 1)
            return [word for word in _WHITES.split(text) if word]
        if (kind is str or kind is bytes) and len(args) <= 2 and type(args[0]) is kind:
            if len(args) == 2 and type(args[1]) is not int:
                raise TypeError("a count is a whole number")
            seek(args[0], text)
            size(text)
            times = text.count(args[0]) + 1 if args[0] else 0
            if len(args) == 2 and 0 <= args[1] < times:
                times = args[1] + 1
            room(times)
            sizes.charge(times * ITEM_LOOKED_AT)
            return text.split(*args)
        return other(text).split(*args)

    def join(text: Any, *args: Any) -> Any:
        kind = type(text)
        if (kind is str or kind is bytes) and len(args) == 1:
            parts = sizes.items(args[0])
            length = len(text) * max(0, len(parts) - 1)
            for part in parts:
                if type(part) is not kind:
                    raise TypeError("unlike texts")
                length += len(part)
            sizes.charge(len(parts))
            fit(length)
            return text.join(parts)
        return other(text).join(*args)

    found = {name: seeking(name) for name in ("find", "rfind", "partition", "rpartition")}
    found |= {name: seeking(name) for name in ("removeprefix", "removesuffix")}
    return found | {
        "startswith": ends("startswith"),
        "endswith": ends("endswith"),
        "replace": replace,
        "split": split,
        "join": join,
    }
