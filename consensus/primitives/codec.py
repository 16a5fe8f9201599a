"""Canonical MessagePack, and data types declared once.

Everything hashed, signed or stored has exactly one byte string: shortest forms, map keys are
strings in the order of their UTF-8 bytes, no floats, no extension types, no trailing bytes.
Decoding re-encodes what it read and compares, which is the shortest complete test of that.

A data type is a frozen dataclass derived from :class:`Wire`, its fields annotated with kinds::

    @dataclass(frozen=True)
    class Call(Wire):
        contract: Annotated[str, Text(64)]
        args: Annotated[dict[str, Any], Data()]

It travels as an array of its fields in order and gets bytes (:meth:`Wire.encode`), hash
(:attr:`Wire.digest`) and JSON view (:meth:`Wire.to_json`, bytes as lower-case hex) from that.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, ClassVar, Final, Self

import msgpack

from consensus.primitives.crypto import sha256
from consensus.primitives.errors import CodecError

DEPTH_MAX: Final = 32
ITEMS_MAX: Final = 1024
WALKED_BYTES: Final = 512
"""Shorter inputs can't claim enough to matter, and a walk costs more than reading them."""
INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**64 - 1

_pack = msgpack.Packer(use_bin_type=True, strict_types=True).pack
_array_header: Final[Callable[[int], bytes]] = msgpack.Packer().pack_array_header


_SCALARS: Final = frozenset((str, bytes, int, bool, type(None)))
_STRINGS: Final = frozenset((str,))


def _normal(value: Any, depth: int) -> Any:
    """The value as the packer takes it: tuples as lists, maps in key order."""
    kind = type(value)
    if kind in _SCALARS:
        return value
    if depth == 0:
        raise CodecError("TOO_DEEP", f"nested deeper than {DEPTH_MAX} levels")
    if kind is list or kind is tuple:
        if _SCALARS.issuperset(map(type, value)):
            return value if kind is list else list(value)
        return [_normal(item, depth - 1) for item in value]
    if kind is dict:
        if not _STRINGS.issuperset(map(type, value)):
            raise CodecError("NOT_CANONICAL", "map keys must be strings")
        # Order by code point equals order by UTF-8 bytes.
        return {key: _normal(value[key], depth - 1) for key in sorted(value)}
    raise CodecError("NOT_CANONICAL", f"a {kind.__name__} has no canonical form")


def _check_decoded(value: Any, depth: int) -> None:
    """Refuse what :func:`_normal` refuses or would reorder, without making it anew."""
    kind = type(value)
    if kind is dict:
        if not _STRINGS.issuperset(map(type, value)) or list(value) != sorted(value):
            raise CodecError("NOT_CANONICAL", "map keys must be strings in order")
        items: Any = value.values()
    elif kind is list:
        items = value
    elif kind in _SCALARS:
        return
    else:
        raise CodecError("NOT_CANONICAL", f"a {kind.__name__} has no canonical form")
    if depth == 0:
        raise CodecError("TOO_DEEP", f"nested deeper than {DEPTH_MAX} levels")
    if not _SCALARS.issuperset(map(type, items)):
        for item in items:
            _check_decoded(item, depth - 1)


def _packed(value: Any) -> bytes:
    try:
        packed: bytes = _pack(value)
    except (OverflowError, ValueError, TypeError) as error:  # beyond 64 bits, a lone surrogate
        raise CodecError("NOT_CANONICAL", f"value has no canonical form: {error}") from None
    return packed


def encode(value: Any) -> bytes:
    """The canonical bytes of None, bool, int, str, bytes, and lists and str-keyed dicts of them."""
    return _packed(_normal(value, DEPTH_MAX))


encode_normal: Final[Callable[[Any], bytes]] = _pack
"""So of a value that is known to have canonical bytes and to be in its normal form already: lists,
no tuples, and maps whose keys are text in order."""


def encode_array(items: Sequence[bytes]) -> bytes:
    """The canonical bytes of a list, from the canonical bytes of its items."""
    return _array_header(len(items)) + b"".join(items)


def decode(raw: bytes, *, bytes_max: int, items_max: int = ITEMS_MAX) -> Any:
    """The value of canonical bytes.

    ``bytes_max`` bounds the input before it is looked at, ``items_max`` each array and map before
    it is allocated. Raises CodecError: TOO_LONG, MALFORMED, TOO_DEEP or NOT_CANONICAL.
    """
    if len(raw) > bytes_max:
        raise CodecError("TOO_LONG", f"{len(raw)} bytes where at most {bytes_max} are allowed")
    try:
        if len(raw) > WALKED_BYTES:
            # Nested arrays that claim more than they hold would each be allocated in full.
            # Walking over the bytes first allocates nothing and ends at such a claim.
            walker = msgpack.Unpacker(max_buffer_size=len(raw))
            walker.feed(raw)
            walker.skip()
        items_max = min(items_max, len(raw))  # an item has a byte at least
        value = msgpack.unpackb(
            raw,
            raw=False,
            strict_map_key=True,
            max_array_len=items_max,
            max_map_len=items_max,
            max_ext_len=0,
        )
    except (ValueError, RecursionError, msgpack.exceptions.UnpackException) as error:
        reason = str(error) or type(error).__name__
        raise CodecError("MALFORMED", f"not MessagePack: {reason}") from None
    _check_decoded(value, DEPTH_MAX)
    if _packed(value) != raw:
        raise CodecError("NOT_CANONICAL", "a value must have its one canonical encoding")
    return value


# --- kinds of fields -------------------------------------------------------------------------


class Kind:
    """How one field is checked, and how it looks in JSON."""

    def check(self, value: Any) -> Any:
        """The typed value of a decoded one. Raises CodecError."""
        raise NotImplementedError

    def plain(self, value: Any) -> Any:
        """The inverse: what :func:`encode` takes."""
        return value

    def json(self, value: Any) -> Any:
        return value

    def from_json(self, value: Any) -> Any:
        return self.check(value)


def _wrong(expected: str, value: Any) -> CodecError:
    return CodecError("WRONG_TYPE", f"expected {expected}, got {type(value).__name__}")


@dataclasses.dataclass(frozen=True)
class UInt(Kind):
    """A whole number from 0 to ``maximum``."""

    maximum: int = 2**63 - 1

    def check(self, value: Any) -> int:
        if type(value) is not int:
            raise _wrong("a whole number", value)
        if not 0 <= value <= self.maximum:
            raise CodecError("OUT_OF_RANGE", f"{value} is not within 0..{self.maximum}")
        return value


@dataclasses.dataclass(frozen=True)
class Flag(Kind):
    """True or false."""

    def check(self, value: Any) -> bool:
        if type(value) is not bool:
            raise _wrong("true or false", value)
        return value


@dataclasses.dataclass(frozen=True)
class Blob(Kind):
    """Bytes, ``minimum`` to ``maximum`` of them; hex in JSON."""

    maximum: int
    minimum: int = 0

    def check(self, value: Any) -> bytes:
        if type(value) is not bytes:
            raise _wrong("bytes", value)
        if not self.minimum <= len(value) <= self.maximum:
            raise CodecError(
                "OUT_OF_RANGE", f"{len(value)} bytes, not {self.minimum}..{self.maximum}"
            )
        return value

    def json(self, value: bytes) -> str:
        return value.hex()

    def from_json(self, value: Any) -> bytes:
        if type(value) is not str:
            raise _wrong("hex text", value)
        try:
            return self.check(bytes.fromhex(value))
        except ValueError:
            raise CodecError("MALFORMED", f"not hex: {value[:80]!r}") from None


@dataclasses.dataclass(frozen=True)
class Text(Kind):
    """A string, ``minimum`` to ``maximum`` bytes of UTF-8."""

    maximum: int
    minimum: int = 1

    def check(self, value: Any) -> str:
        if type(value) is not str:
            raise _wrong("text", value)
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            raise CodecError("MALFORMED", "text that has no UTF-8 form") from None
        if not self.minimum <= size <= self.maximum:
            raise CodecError("OUT_OF_RANGE", f"{size} bytes, not {self.minimum}..{self.maximum}")
        return value


@dataclasses.dataclass(frozen=True)
class Items(Kind):
    """A list of one kind, at most ``maximum`` long. The typed value is a tuple."""

    kind: Kind
    maximum: int
    minimum: int = 0

    def _sized(self, value: Any) -> Any:
        if type(value) is not list:
            raise _wrong("a list", value)
        if not self.minimum <= len(value) <= self.maximum:
            raise CodecError(
                "OUT_OF_RANGE", f"{len(value)} items, not {self.minimum}..{self.maximum}"
            )
        return value

    def check(self, value: Any) -> tuple[Any, ...]:
        check = self.kind.check
        return tuple([check(item) for item in self._sized(value)])

    def plain(self, value: Any) -> list[Any]:
        plain = self.kind.plain
        return [plain(item) for item in value]

    def json(self, value: Any) -> list[Any]:
        return [self.kind.json(item) for item in value]

    def from_json(self, value: Any) -> tuple[Any, ...]:
        return tuple([self.kind.from_json(item) for item in self._sized(value)])


@dataclasses.dataclass(frozen=True)
class Nested(Kind):
    """A declared data type inside another."""

    wire: type[Wire]

    def check(self, value: Any) -> Wire:
        return self.wire.from_plain(value)

    def plain(self, value: Wire) -> Any:
        return value.to_plain()

    def json(self, value: Wire) -> Any:
        return value.to_json()

    def from_json(self, value: Any) -> Wire:
        return self.wire.from_json(value)


@dataclasses.dataclass(frozen=True)
class Maybe(Kind):
    """A kind or None."""

    kind: Kind

    def check(self, value: Any) -> Any:
        return None if value is None else self.kind.check(value)

    def plain(self, value: Any) -> Any:
        return None if value is None else self.kind.plain(value)

    def json(self, value: Any) -> Any:
        return None if value is None else self.kind.json(value)

    def from_json(self, value: Any) -> Any:
        return None if value is None else self.kind.from_json(value)


def data_to_json(value: Any) -> Any:
    """The JSON view of any canonical value: bytes become ``{"hex": "..."}``."""
    if type(value) is bytes:
        return {"hex": value.hex()}
    if type(value) in (list, tuple):
        return [data_to_json(item) for item in value]
    if type(value) is dict:
        return {key: data_to_json(item) for key, item in value.items()}
    return value


def data_from_json(value: Any) -> Any:
    """The inverse of :func:`data_to_json`. Raises CodecError on a float or a bad hex object."""
    if type(value) is float:
        raise CodecError("NOT_CANONICAL", f"{value} is not a whole number")
    if type(value) is list:
        return [data_from_json(item) for item in value]
    if type(value) is dict:
        if set(value) == {"hex"} and type(value["hex"]) is str:
            try:
                return bytes.fromhex(value["hex"])
            except ValueError:
                raise CodecError("MALFORMED", f"not hex: {value['hex'][:80]!r}") from None
        return {key: data_from_json(item) for key, item in value.items()}
    return value


@dataclasses.dataclass(frozen=True)
class Data(Kind):
    """Any canonical value, for contents that a contract defines."""

    mapping: bool = False

    def check(self, value: Any) -> Any:
        if self.mapping and type(value) is not dict:
            raise _wrong("a map", value)
        return value

    def json(self, value: Any) -> Any:
        return data_to_json(value)

    def from_json(self, value: Any) -> Any:
        return self.check(data_from_json(value))


HASH: Final = Blob(32, 32)
KEY: Final = Blob(32, 32)
SIGNATURE: Final = Blob(64, 64)
TIME_MS: Final = UInt()


class Wire:
    """Base of the declared data types; see the module's text."""

    bytes_max: ClassVar[int] = 1 << 16
    items_max: ClassVar[int] = ITEMS_MAX
    _kinds_cache: ClassVar[tuple[tuple[str, Kind], ...] | None] = None

    @classmethod
    def of_checked(cls, **fields: Any) -> Self:
        """A value from all its fields, known to be right, any contents in their normal form: the
        constructor's form for hot paths."""
        made = object.__new__(cls)
        made.__dict__.update(fields)
        made.__dict__["_is_normal"] = True
        return made

    @classmethod
    def kinds(cls) -> tuple[tuple[str, Kind], ...]:
        """(field name, kind) in wire order."""
        cached = cls.__dict__.get("_kinds_cache")
        if cached is None:
            hints = typing.get_type_hints(cls, include_extras=True)
            cached = tuple(
                (field.name, hints[field.name].__metadata__[0])
                for field in dataclasses.fields(cls)  # type: ignore[arg-type]
            )
            cls._kinds_cache = cached
        return cached

    @classmethod
    def from_plain(cls, value: Any) -> Self:
        """A typed value from a decoded one. Raises CodecError naming the field."""
        kinds = cls.kinds()
        if type(value) is not list or len(value) != len(kinds):
            raise CodecError("WRONG_TYPE", f"{cls.__name__}: expected {len(kinds)} fields")
        # Not by the constructor, which sets each field of a frozen dataclass by a call.
        made = object.__new__(cls)
        fields = made.__dict__
        for (name, kind), item in zip(kinds, value, strict=True):
            try:
                fields[name] = kind.check(item)
            except CodecError as error:
                message = f"{cls.__name__}.{name}: {error.message}"
                raise CodecError(error.code, message) from None
        if hasattr(cls, "__post_init__"):
            made.__post_init__()  # type: ignore[attr-defined]
        return made

    def to_plain(self) -> list[Any]:
        return [kind.plain(getattr(self, name)) for name, kind in self.kinds()]

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """The value of canonical bytes of at most ``bytes_max``. Raises CodecError."""
        return cls.from_plain(decode(raw, bytes_max=cls.bytes_max, items_max=cls.items_max))

    @cached_property
    def raw(self) -> bytes:
        """The canonical bytes, made once."""
        plain = self.to_plain()
        return encode_normal(plain) if "_is_normal" in self.__dict__ else encode(plain)

    def encode(self) -> bytes:
        return self.raw

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the canonical bytes."""
        return sha256(self.raw)

    def to_json(self) -> dict[str, Any]:
        return {name: kind.json(getattr(self, name)) for name, kind in self.kinds()}

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """A typed value from its JSON view. Raises CodecError naming the field."""
        kinds = cls.kinds()
        if type(value) is not dict:
            raise CodecError("WRONG_TYPE", f"{cls.__name__}: expected an object")
        names = {name for name, _ in kinds}
        unknown = sorted(set(value) - names)
        missing = sorted(names - set(value))
        if unknown or missing:
            what = [f"unknown {name}" for name in unknown] + [f"missing {name}" for name in missing]
            raise CodecError("WRONG_FIELDS", f"{cls.__name__}: {', '.join(what)}")
        fields = []
        for name, kind in kinds:
            try:
                fields.append(kind.from_json(value[name]))
            except CodecError as error:
                message = f"{cls.__name__}.{name}: {error.message}"
                raise CodecError(error.code, message) from None
        return cls(*fields)
