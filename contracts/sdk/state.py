"""Typed state: maps of records or plain values, indexes of maps, and counters.

A declaration stands in the class; within a call, ``self.<name>`` is the declaration bound to the
running call. Names with two underscores are the SDK's own, which contract source can't write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final, Generic, Protocol, Self, TypeVar, overload

from consensus.primitives.errors import InputError
from consensus.primitives.keys import decode_key, digest_part, encode_key, lower_bound
from consensus.primitives.tree import KEY_BYTES_MAX
from contracts.sdk.errors import BadValue, refuse
from contracts.sdk.fields import field_of
from contracts.sdk.records import Record, plan_of

V = TypeVar("V")
T = TypeVar("T")
KeyParts = str | bytes | int | tuple[str | bytes | int, ...]
_Move = tuple[bytes | None, bytes | None]  # an index entry that goes, and one that comes

PART_SIZE_MAX: Final = 1024  # characters or bytes of a hashed part
_DIGEST_TAG: Final = b"\x01"  # as consensus.primitives.keys has it
_ABOVE: Final = b"\xff"
_PART_KINDS: Final = frozenset((str, bytes, int))
_SIZED_KINDS: Final = frozenset((str, bytes))


class Host(Protocol):
    """What the runtime offers to the state of one running call. Keys are whole state keys."""

    # Whether the indexes of a map are made anew, whatever stands in them: in migrations.
    reindexes: bool

    # Told of each write to a map or counter whose changes enter the audit trail, before it.
    def note(self, name: str, key: KeyParts, raw: bytes) -> None: ...

    # The stored value; None when there is none. Records that hold records cost more to read.
    def read(self, key: bytes, converts: bool = False) -> Any: ...

    # With ``convert``, what it makes of the value, once the value is paid for.
    def write(
        self, key: bytes, value: Any, convert: Callable[[Any], Any] | None = None
    ) -> None: ...
    def delete(self, key: bytes) -> None: ...
    def scan(
        self, start: bytes, stop: bytes, converts: bool = False
    ) -> Iterator[tuple[bytes, Any]]: ...

    # The value behind a commitment. Refuses where there is none at hand.
    def opening(self, commitment: bytes) -> Any: ...


def _make_part(part: Any, is_hashed: bool) -> bytes:
    try:
        if is_hashed:
            return _DIGEST_TAG + digest_part(part).value
        return lower_bound("c", "m", (part,))[len(b"c\0m\0") :]
    except InputError as error:
        refuse(error.code, error.message)


_REMEMBERED_SIZE_MAX: Final = 128
_remembered_part = lru_cache(maxsize=1 << 15)(_make_part)


@lru_cache(maxsize=1 << 15)
def _text_key(head: bytes, is_hashed: bool, text: str) -> bytes:
    """The whole key of a map with one part."""
    return _limited(head + _make_part(text, is_hashed) + b"\0")


def _limited(key: bytes) -> bytes:
    if len(key) > KEY_BYTES_MAX:
        refuse("KEY_TOO_LONG", f"keys have at most {KEY_BYTES_MAX} bytes, with the map's name")
    return key


def _part_bytes(part: Any, is_hashed: bool) -> bytes:
    """One part as it stands in a key. Refuses KEY_PART or KEY_TOO_LONG."""
    kind = type(part)
    # Exactly these types: True equals 1, and what is remembered must not take one for the other.
    if kind not in _PART_KINDS:
        refuse("KEY_PART", f"a {kind.__name__} can't be part of a key")
    if kind in _SIZED_KINDS and len(part) > _REMEMBERED_SIZE_MAX:
        if len(part) > (PART_SIZE_MAX if is_hashed else KEY_BYTES_MAX):
            refuse("KEY_TOO_LONG", f"a part of {len(part)} characters or bytes")
        return _make_part(part, is_hashed)
    return _remembered_part(part, is_hashed)


class Scan(Generic[T]):
    """Entries of a map in key order, by int, bytes, text: each is paid for when it is taken.

    Hashed parts have no order of their own, but the same one on every node.
    """

    __slots__ = ("__entries", "__left", "__load")

    def __init__(self, entries: Iterator[tuple[bytes, Any]], load: Any, limit: int | None) -> None:
        self.__entries = entries
        self.__load = load
        self.__left = -1 if limit is None else max(0, limit)

    def __iter__(self) -> Scan[T]:
        return self

    def __next__(self) -> T:
        if self.__left == 0:
            raise StopIteration
        self.__left -= 1
        key, stored = next(self.__entries)
        found: T = self.__load(key, stored)
        return found


class Declared:
    """A declaration in a contract class; ``name`` is the attribute's."""

    name: str

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.name}"


def _check_names(what: str, names: object) -> None:
    """Refuse what is no tuple of names: the brackets and commas are easily left out."""
    if type(names) is str:
        raise TypeError(f'{what} is a tuple of names, with a comma after one: {what}=("{names}",)')
    if type(names) is not tuple or not all(type(name) is str for name in names):
        raise TypeError(f'{what} is a tuple of names: {what}=("one", "other")')


class Map(Declared, Generic[V]):
    """Declares a map of a contract::

        keys = Map(KeyRecord, key=("key",))
        stock = Map(Stock, key=("item", "holder"), hashed=("item",))

    ``key`` names the parts of a key, ``hashed`` those that enter as SHA-256: what users choose
    and what no range needs in order. ``audited=False`` leaves a map out of its contract's audit
    trail: a log that only grows and says itself who entered what and when.
    """

    def __init__(
        self,
        value: type[V],
        *,
        key: tuple[str, ...] | None = None,
        hashed: tuple[str, ...] = (),
        audited: bool = True,
    ) -> None:
        if key is None:
            raise TypeError('a map names the parts of its key: key=("item",)')
        _check_names("key", key)
        _check_names("hashed", hashed)
        if unknown := [part for part in hashed if part not in key]:
            raise TypeError(f"hashed names {unknown[0]}, which is no part of the key")
        if type(audited) is not bool:
            raise TypeError("audited is True or False")
        self.value = value
        self.audited = audited
        self.key = key
        self.hashed = tuple(part in hashed for part in key)
        self.record: type[Record] | None = (
            value if isinstance(value, type) and issubclass(value, Record) else None
        )

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> BoundMap[V]: ...
    def __get__(self, instance: object | None, owner: type) -> Self | BoundMap[V]:
        if instance is None:
            return self
        raise AttributeError(self.name)  # instances have it bound


class BoundMap(Generic[V]):
    """A map within one call. A key is one part, or a tuple of as many as the map declares."""

    __slots__ = (
        "__audited", "__converts", "__declared", "__hashed", "__head", "__host", "__indexes",
        "__length", "__load", "__record", "__split", "__store",
    )  # fmt: skip

    def __init__(
        self,
        declared: Map[V],
        contract: str,
        host: Host,
        indexes: tuple[Index[Any], ...],
        *,
        audited: bool,
    ) -> None:
        self.__audited = audited and declared.audited
        self.__declared = declared
        self.__host = host
        self.__head = lower_bound(contract, declared.name, ())
        self.__hashed = declared.hashed
        self.__length = len(declared.key)
        self.__record = declared.record
        self.__converts = False
        if declared.record is not None:
            plan = plan_of(declared.record)
            self.__converts = plan.converts
            self.__load = plan.load
            self.__split = plan.values
            self.__store = plan.store if plan.converts else None
        self.__indexes = tuple(
            _Keeper(index, lower_bound(contract, index.name, ())) for index in indexes
        )

    def __key(self, key: KeyParts) -> bytes:
        # As encode_key makes it, from what is remembered between calls.
        if type(key) is str and self.__length == 1 and len(key) <= _REMEMBERED_SIZE_MAX:
            return _text_key(self.__head, self.__hashed[0], key)
        parts = key if type(key) is tuple else (key,)
        if len(parts) != self.__length:
            refuse("KEY_PART", f"{self.__declared.name} has keys of {self.__length} parts")
        return _limited(self.__head + b"".join(map(_part_bytes, parts, self.__hashed)) + b"\0")

    def get(self, key: KeyParts) -> V | None:
        """The value, or None."""
        stored = self.__host.read(self.__key(key), self.__converts)
        record = self.__record
        if stored is None or record is None:
            found: V | None = stored
            return found
        if self.__converts:
            return self.__load(stored)  # type: ignore[no-any-return]
        return record(*stored)  # type: ignore[return-value]

    def put(self, key: KeyParts, value: V) -> None:
        """Set the value."""
        raw = self.__key(key)
        record = self.__record
        if record is not None:
            if type(value) is not record:
                refuse(
                    "VALUE_NOT_CANONICAL",
                    f"{self.__declared.name} does not keep a {type(value).__name__}",
                )
            moves = self.__moves(raw, key, value) if self.__indexes else ()
            if self.__audited:
                self.__host.note(self.__declared.name, key, raw)
            self.__host.write(raw, self.__split(value), self.__store)
            if moves:
                self.__move(moves, key)
            return
        if value is None:
            refuse("VALUE_NOT_CANONICAL", "None is what a missing value reads as: delete it")
        if self.__audited:
            self.__host.note(self.__declared.name, key, raw)
        self.__host.write(raw, value)

    def delete(self, key: KeyParts) -> None:
        """Remove the value, if there is one."""
        raw = self.__key(key)
        moves = self.__moves(raw, key, None) if self.__indexes else ()
        if self.__audited:
            self.__host.note(self.__declared.name, key, raw)
        self.__host.delete(raw)
        if moves:
            self.__move(moves, key)

    def __contains__(self, key: KeyParts) -> bool:
        return self.__host.read(self.__key(key), False) is not None

    def values(self, leading: KeyParts = (), limit: int | None = None) -> Scan[V]:
        """The values whose keys begin with these parts, in key order, at most ``limit``."""
        return Scan(self.__entries(leading), self.__value, limit)

    def keys(self, leading: KeyParts = (), limit: int | None = None) -> Scan[Any]:
        """So the keys: one part, or a tuple of them. A map with hashed parts does not know them."""
        self.__check_known()
        return Scan(self.__entries(leading), _parts_of, limit)

    def items(self, leading: KeyParts = (), limit: int | None = None) -> Scan[tuple[Any, V]]:
        """So the keys with their values."""
        self.__check_known()
        return Scan(self.__entries(leading), self.__item, limit)

    def __value(self, key: bytes, stored: Any) -> V:
        return stored if self.__record is None else self.__load(stored)  # type: ignore[no-any-return]

    def __item(self, key: bytes, stored: Any) -> tuple[Any, V]:
        return _parts_of(key, stored), self.__value(key, stored)

    def __check_known(self) -> None:
        if any(self.__hashed):
            refuse("KEY_PART", f"{self.__declared.name} has hashed parts, which nobody can name")

    def __entries(self, leading: KeyParts) -> Iterator[tuple[bytes, Any]]:
        parts = leading if type(leading) is tuple else (leading,)
        if len(parts) > self.__length:
            refuse("KEY_PART", f"{self.__declared.name} has keys of {self.__length} parts")
        start = self.__head + b"".join(map(_part_bytes, parts, self.__hashed))
        if len(start) > KEY_BYTES_MAX:
            refuse("KEY_TOO_LONG", f"a range of {self.__declared.name}")
        return self.__host.scan(start, start + _ABOVE, self.__converts)

    def __moves(self, raw: bytes, key: KeyParts, new: V | None) -> list[_Move]:
        """Which entries of the map's indexes go, and which come instead, where the value's fields
        changed. All that can be refused comes before anything is written: who catches a refusal
        shall not find half a change."""
        host = self.__host
        stored = host.read(raw, self.__converts)
        old = None if stored is None else self.__load(stored)
        tail = raw[len(self.__head) :]
        moves = []
        for keeper in self.__indexes:
            before = None if old is None else keeper.entry(old, tail)
            after = None if new is None else keeper.entry(new, tail)
            if before != after:
                moves.append((before, after))
            elif host.reindexes:
                moves.append((None, after))
        return moves

    def __move(self, moves: list[_Move], key: KeyParts) -> None:
        parts = list(key) if type(key) is tuple else [key]
        for before, after in moves:
            if before is not None:
                self.__host.delete(before)
            if after is not None:
                self.__host.write(after, parts)


def _parts_of(key: bytes, stored: Any) -> Any:
    parts = decode_key(key)[2]
    return parts[0] if len(parts) == 1 else parts


class Index(Declared, Generic[V]):
    """Declares another order of a map of records, kept up whenever the map changes::

        lots = Map(Lot, key=("item",), hashed=("item",))
        lots_of = Index(lots, on=("maker",))

        for lot in self.lots_of.values("9521321000010"): ...

    ``on`` names fields of the record, each text, bytes or a whole number; ``hashed`` those of them
    that enter as SHA-256. The map may also be given by its attribute's name.
    """

    def __init__(
        self, of: Map[V] | str, *, on: tuple[str, ...] = (), hashed: tuple[str, ...] = ()
    ) -> None:
        _check_names("on", on)
        _check_names("hashed", hashed)
        if not on:
            raise TypeError('an index is on one field at least: on=("maker",)')
        if unknown := [part for part in hashed if part not in on]:
            raise TypeError(f"hashed names {unknown[0]}, which the index is not on")
        self.of = of
        self.on = on
        self.hashed = tuple(part in hashed for part in on)

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> BoundIndex[V]: ...
    def __get__(self, instance: object | None, owner: type) -> Self | BoundIndex[V]:
        if instance is None:
            return self
        raise AttributeError(self.name)


class _Keeper:
    """Where an index has its entry for a record."""

    def __init__(self, index: Index[Any], head: bytes) -> None:
        self._index = index
        self._head = head

    def entry(self, record: Any, tail: bytes) -> bytes:
        index = self._index
        parts = [getattr(record, name) for name in index.on]
        key = self._head + b"".join(map(_part_bytes, parts, index.hashed)) + tail
        return _limited(key)


class BoundIndex(Generic[V]):
    """An index within one call."""

    __slots__ = ("__declared", "__head", "__host", "__map")

    def __init__(self, declared: Index[V], of: Map[V], contract: str, host: Host) -> None:
        self.__declared = declared
        self.__host = host
        self.__head = lower_bound(contract, declared.name, ())
        self.__map = BoundMap(of, contract, host, (), audited=False)

    def values(self, leading: KeyParts, limit: int | None = None) -> Scan[V]:
        """The records whose fields begin with these values, in their order; a read each."""
        return Scan(self.__entries(leading), self.__value, limit)

    def keys(self, leading: KeyParts, limit: int | None = None) -> Scan[Any]:
        """Their keys in the map."""
        return Scan(self.__entries(leading), self.__key, limit)

    def __entries(self, leading: KeyParts) -> Iterator[tuple[bytes, Any]]:
        declared = self.__declared
        parts = leading if type(leading) is tuple else (leading,)
        if len(parts) > len(declared.on):
            refuse("KEY_PART", f"{declared.name} is on {len(declared.on)} fields")
        start = self.__head + b"".join(map(_part_bytes, parts, declared.hashed))
        if len(start) > KEY_BYTES_MAX:
            refuse("KEY_TOO_LONG", f"a range of {declared.name}")
        return self.__host.scan(start, start + _ABOVE)

    def __key(self, key: bytes, stored: Any) -> Any:
        return stored[0] if len(stored) == 1 else tuple(stored)

    def __value(self, key: bytes, stored: Any) -> V | None:
        return self.__map.get(self.__key(key, stored))


class BoundCounter:
    """A counter within one call."""

    __slots__ = ("__audited", "__host", "__key", "__name")

    def __init__(self, name: str, key: bytes, host: Host, *, audited: bool) -> None:
        self.__name = name
        self.__key = key
        self.__host = host
        self.__audited = audited

    @property
    def value(self) -> int:
        return self.__host.read(self.__key) or 0

    def add(self, amount: int = 1) -> int:
        """The new value."""
        if type(amount) is not int:
            refuse("VALUE_NOT_CANONICAL", "a counter adds whole numbers")
        new = self.value + amount
        if self.__audited:
            self.__host.note(self.__name, (), self.__key)
        self.__host.write(self.__key, new)
        return new


class Counter(Declared):
    """Declares a whole number that starts at 0."""

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> BoundCounter: ...
    def __get__(self, instance: object | None, owner: type) -> Self | BoundCounter:
        if instance is None:
            return self
        raise AttributeError(self.name)


class Opened(Declared, Generic[V]):
    """Declares what stands behind commitments, for checks to look at::

        terms = Opened(Terms)

        @check
        def examine(self, number: Number) -> Verdict:
            terms = self.terms.open(self.credits.get(number).terms)

    It is no state: the openings are handed to the check by the party that runs it. Type: a record,
    or the hint of a field.
    """

    @overload
    def __init__(self: Opened[V], of: type[V]) -> None: ...
    @overload
    def __init__(self: Opened[Any], of: Any) -> None: ...
    def __init__(self, of: Any) -> None:
        self.of = of
        self.field = field_of(of)

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> BoundOpened[V]: ...
    def __get__(self, instance: object | None, owner: type) -> Self | BoundOpened[V]:
        if instance is None:
            return self
        raise AttributeError(self.name)


class BoundOpened(Generic[V]):
    """Openings within one check."""

    __slots__ = ("__declared", "__host")

    def __init__(self, declared: Opened[V], host: Host) -> None:
        self.__declared = declared
        self.__host = host

    def open(self, commitment: bytes) -> V:
        """The value, in its one form.

        Refuses with OPENING_MISSING what whoever runs the check does not hold, OPENING_MALFORMED
        what is no such value, NOT_A_CHECK in calls and queries.
        """
        value = self.__host.opening(commitment)
        try:
            return self.__declared.field.check(value)  # type: ignore[no-any-return]
        except BadValue as error:
            refuse("OPENING_MALFORMED", f"{self.__declared.name}: {error}"[:250])


class Layout:
    """The state that a contract class declares, its indexes joined to their maps.

    Raises TypeError where a declaration makes no sense.
    """

    def __init__(self, contract: type) -> None:
        self.audited = getattr(contract, "audited", False)
        if type(self.audited) is not bool:
            raise TypeError(f"{contract.__name__}.audited is True or False")
        self.declared: dict[str, Declared] = {}
        for base in reversed(contract.__mro__):
            for name, value in base.__dict__.items():
                if isinstance(value, Declared):
                    self.declared[name] = value
        self._maps: dict[str, Map[Any]] = {}  # index name -> its map
        self._indexes: dict[str, tuple[Index[Any], ...]] = {}  # map name -> its indexes
        for name, value in self.declared.items():
            if isinstance(value, Map) and value.record is not None:
                plan_of(value.record)
            if isinstance(value, Index):
                self._join(f"{contract.__name__}.{name}", value)

    @property
    def trail(self) -> list[str]:
        """The names of the maps and counters whose changes the audit trail tells of."""
        return [
            name
            for name, one in self.declared.items()
            if self.audited and (isinstance(one, Counter) or (isinstance(one, Map) and one.audited))
        ]

    def _join(self, where: str, index: Index[Any]) -> None:
        of = self.declared.get(index.of if isinstance(index.of, str) else index.of.name)
        if not isinstance(of, Map) or of.record is None:
            raise TypeError(f"{where}: there is no such map of records")
        fields = plan_of(of.record).fields
        if unknown := [field for field in index.on if field not in fields]:
            raise TypeError(f"{where}: {of.name} has no field {unknown[0]}")
        self._maps[index.name] = of
        self._indexes[of.name] = (*self._indexes.get(of.name, ()), index)

    def bind(self, contract: str, host: Host) -> dict[str, Any]:
        """What ``self.<name>`` is within calls of a contract, by name."""
        return {
            name: self._bound(declared, contract, host) for name, declared in self.declared.items()
        }

    def _bound(self, declared: Declared, contract: str, host: Host) -> Any:
        if isinstance(declared, Map):
            indexes = self._indexes.get(declared.name, ())
            return BoundMap(declared, contract, host, indexes, audited=self.audited)
        if isinstance(declared, Opened):
            return BoundOpened(declared, host)
        if isinstance(declared, Index):
            return BoundIndex(declared, self._maps[declared.name], contract, host)
        key = encode_key(contract, declared.name, ())
        return BoundCounter(declared.name, key, host, audited=self.audited)
