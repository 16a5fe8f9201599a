"""Values that stand on chain only as salted commitments.

What is known to some parties alone, or about a person, never enters a transaction in clear. The
argument is 32 bytes::

    SHA-256("hansa/commitment/1" | 0x00 | canonical [salt, value])

``value`` is in the one form that its field gives it. Salt and value together are the commitment's
**opening**: it travels between the parties, and once all its copies are erased the commitment
says nothing more (the salt has 128 random bits). A contract is shown an opening when it must look
at the value, and compares it by :func:`opens`; that call then shows it to everybody.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from consensus.primitives.codec import encode
from consensus.primitives.crypto import sha256
from contracts.sdk.errors import BadValue, refuse
from contracts.sdk.fields import Blob, Field, Visibility, around, field_of, wrong
from contracts.sdk.values import plain

SALT_BYTES: Final = 16
COMMITMENT_BYTES: Final = 32

_TAG: Final = b"hansa/commitment/1\0"


def commit(salt: bytes, value: Any) -> bytes:
    """The commitment to a canonical value or record. Raises BadValue for a salt of other size."""
    if type(salt) is not bytes or len(salt) != SALT_BYTES:
        raise BadValue(f"a salt has {SALT_BYTES} bytes")
    return sha256(_TAG + encode([salt, plain(value)[0]]))


def opens(commitment: bytes, salt: bytes, value: Any) -> bool:
    """Whether the commitment was made with this salt to this value."""
    return commit(salt, value) == commitment


class Committed(Field):
    """A commitment to a value of ``inner``: a field, or a type hint that names one."""

    visibility: ClassVar[Visibility]
    converts = True

    def __init__(self, inner: Any) -> None:
        self.inner: Field = inner if isinstance(inner, Field) else field_of(inner)
        if isinstance(self.inner, Committed):
            raise TypeError(f"{type(self).__name__}: a commitment to a commitment")
        self.depth, self.weight = around((self.inner,))

    def check(self, value: Any) -> bytes:
        if type(value) is not bytes:
            raise wrong("a commitment of 32 bytes", value)
        if len(value) != COMMITMENT_BYTES:
            raise BadValue("a commitment has 32 bytes")
        return value

    def schema(self) -> dict[str, Any]:
        blob = Blob(COMMITMENT_BYTES, COMMITMENT_BYTES).schema()
        return blob | {"visibility": self.visibility, "value": self.inner.schema()}

    def example(self) -> bytes:
        return commit(bytes(SALT_BYTES), self.inner.check(self.inner.example()))

    def store(self, value: Any) -> bytes:
        """Refuses with CLEAR_VALUE what is no commitment, so that nothing in clear gets in."""
        if type(value) is not bytes or len(value) != COMMITMENT_BYTES:
            refuse("CLEAR_VALUE", f"a {self.visibility} field holds a commitment of 32 bytes")
        return value


class Party(Committed):
    """Known to named organisations: prices, terms, counterparties' references."""

    visibility = "party"


class Personal(Committed):
    """About a person: names, addresses, telephone numbers. Its opening can be erased."""

    visibility = "personal"
