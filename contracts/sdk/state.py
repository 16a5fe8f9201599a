"""Typed state: maps of records or plain values, and counters."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, Self, TypeVar, overload

from consensus.primitives.keys import (
    Part,
    digest_part,
    encode_key,
    lower_bound,
    prefix_range,
)
from consensus.primitives.tree import KEY_BYTES_MAX
from contracts.sdk.errors import refuse
from contracts.sdk.records import Record

if TYPE_CHECKING:
    from contracts.sdk.contract import Contract

V = TypeVar("V")
KeyParts = str | bytes | int | tuple[str | bytes | int, ...]

_DIGEST_TAG: Final = b"\x01"  # as consensus.primitives.keys has it
_PART_KINDS: Final = frozenset((str, bytes, int))


class Host(Protocol):
    """What the runtime offers to the state of one running call. Keys are whole state keys."""

    def read(self, key: bytes) -> Any: ...  # the stored value; None when there is none
    def write(self, key: bytes, value: Any) -> None: ...
    def delete(self, key: bytes) -> None: ...
    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, Any]]: ...


@lru_cache(maxsize=1 << 16)
def _part_bytes(part: Any, is_hashed: bool) -> bytes:
    """One part as it stands in a key. Parts are of exactly the kinds above."""
    if is_hashed:
        return _DIGEST_TAG + digest_part(part).value
    return lower_bound("c", "m", (part,))[len(b"c\0m\0") :]


def _key_parts(hashed: tuple[bool, ...], parts: tuple[Any, ...]) -> tuple[Part, ...]:
    return tuple(
        digest_part(part) if is_hashed else part
        for is_hashed, part in zip(hashed, parts, strict=False)
    )


class BoundMap(Generic[V]):
    """A map within one call. A key is one part, or a tuple of as many as the map declares."""

    def __init__(self, declared: Map[V], contract: str, host: Host) -> None:
        self._declared = declared
        self._contract = contract
        self._host = host
        self._head = declared.head(contract)

    def _parts(self, key: KeyParts) -> tuple[Any, ...]:
        parts = key if type(key) is tuple else (key,)
        for part in parts:
            # Exactly these types: True equals 1, and the key cache must not take one for the other.
            if type(part) not in _PART_KINDS:
                refuse("KEY_PART", f"a {type(part).__name__} can't be part of a key")
        return parts

    def _key(self, key: KeyParts) -> bytes:
        declared = self._declared
        parts = self._parts(key)
        if len(parts) != len(declared.key):
            refuse("KEY_PART", f"{declared.name} has keys of {len(declared.key)} parts")
        # As encode_key makes it, from parts remembered between calls.
        raw = self._head + b"".join(map(_part_bytes, parts, declared.hashed)) + b"\0"
        if len(raw) > KEY_BYTES_MAX:
            refuse("KEY_TOO_LONG", f"{declared.name} has keys of at most {KEY_BYTES_MAX} bytes")
        return raw

    def get(self, key: KeyParts) -> V | None:
        """The value, or None."""
        stored = self._host.read(self._key(key))
        return None if stored is None else self._declared.load(stored)

    def put(self, key: KeyParts, value: V) -> None:
        """Set the value."""
        self._host.write(self._key(key), self._declared.store(value))

    def delete(self, key: KeyParts) -> None:
        """Remove the value, if there is one."""
        self._host.delete(self._key(key))

    def __contains__(self, key: KeyParts) -> bool:
        return self._host.read(self._key(key)) is not None

    def values(self, leading: KeyParts = ()) -> Iterator[V]:
        """The values whose keys begin with these parts, in key order: by int, bytes, text.

        Hashed parts have no order of their own, but the same one on every node.
        """
        declared = self._declared
        parts = _key_parts(declared.hashed, self._parts(leading))
        start, stop = prefix_range(self._contract, declared.name, parts)
        for _, stored in self._host.scan(start, stop):
            yield declared.load(stored)


class Map(Generic[V]):
    """Declares a map of a contract::

        keys = Map(KeyRecord, key=("key",))
        stock = Map(Stock, key=("item", "holder"), hashed=("item",))

    ``key`` names the parts of a key, ``hashed`` those that enter as SHA-256: what users choose
    and what no range needs in order.
    """

    name: str

    def __init__(
        self, value: type[V], *, key: tuple[str, ...], hashed: tuple[str, ...] = ()
    ) -> None:
        self.value = value
        self.key = key
        self.hashed = tuple(part in hashed for part in key)
        self._heads: dict[str, bytes] = {}
        self._record: type[Record] | None = (
            value if isinstance(value, type) and issubclass(value, Record) else None
        )

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def head(self, contract: str) -> bytes:
        """What all keys of the map in this contract begin with."""
        found = self._heads.get(contract)
        if found is None:
            found = self._heads[contract] = lower_bound(contract, self.name, ())
        return found

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: Contract, owner: type) -> BoundMap[V]: ...
    def __get__(self, instance: Contract | None, owner: type) -> Self | BoundMap[V]:
        if instance is None:
            return self
        bound = BoundMap(self, instance.name, instance.host)
        instance.__dict__[self.name] = bound  # found first from now on
        return bound

    def store(self, value: V) -> Any:
        return value if self._record is None else value.to_stored()  # type: ignore[attr-defined]

    def load(self, stored: Any) -> V:
        if self._record is None:
            found: V = stored
            return found
        return self._record.from_stored(stored)  # type: ignore[return-value]


class BoundCounter:
    """A counter within one call."""

    def __init__(self, key: bytes, host: Host) -> None:
        self._key = key
        self._host = host

    @property
    def value(self) -> int:
        return self._host.read(self._key) or 0

    def add(self, amount: int = 1) -> int:
        """The new value."""
        new = self.value + amount
        self._host.write(self._key, new)
        return new


class Counter:
    """Declares a whole number that starts at 0."""

    name: str

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: Contract, owner: type) -> BoundCounter: ...
    def __get__(self, instance: Contract | None, owner: type) -> Self | BoundCounter:
        if instance is None:
            return self
        bound = BoundCounter(encode_key(instance.name, self.name, ()), instance.host)
        instance.__dict__[self.name] = bound
        return bound
