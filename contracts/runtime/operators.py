"""Guards of the operators: what grows is measured before it is made."""

from __future__ import annotations

from typing import Any

from contracts.runtime.sizes import INT_BITS, INT_LIMIT, ITEMS_MAX, Names, Sizes
from contracts.runtime.steps import ENTRY


def operators(sizes: Sizes) -> Names:
    fit, room, new_key = sizes.fit, sizes.room, sizes.new_key

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
            more = sizes.items(b)
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
        if type(a) is int and type(b) is int:
            value = a * b
            if -INT_LIMIT < value < INT_LIMIT:
                return value
            raise OverflowError("beyond 256 bits")
        if isinstance(a, int) and isinstance(b, int):
            return a * b
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
        if isinstance(a, int):
            return a % b  # only text and bytes are formatted by it
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
            sizes.charge(len(a) * ENTRY)
            return ior(dict(a), b)
        return bits(a, b)

    def ior(a: Any, b: Any) -> Any:
        """``a |= b``: a map takes over another's entries in place."""
        if type(a) is dict and type(b) is dict:
            sizes.charge(len(b) * ENTRY)
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
