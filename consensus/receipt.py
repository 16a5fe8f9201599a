"""Receipts and events: what a transaction in a block brought about."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar, Final

from consensus.primitives.codec import (
    HASH,
    Data,
    Items,
    Nested,
    Text,
    UInt,
    Wire,
    encode,
    encode_array,
)

OK: Final = "OK"
EVENTS_MAX: Final = 1024


@dataclass(frozen=True)
class Event(Wire):
    """Something a contract tells the world. Its position is (height, tx index, event index)."""

    contract: Annotated[str, Text(64)]
    name: Annotated[str, Text(64)]
    fields: Annotated[dict[str, Any], Data(mapping=True)]


@dataclass(frozen=True)
class Receipt(Wire):
    """The outcome of one transaction: ``code`` is OK or the stable code of its failure.

    ``detail`` is the contract's own sentence on a refusal, chosen by contract code, or empty. The
    text of an unexpected exception never enters: it may differ between machines.
    A failed transaction has no events, a None result, and changed no contract state. What a block
    runs by itself (due calls, activations) has [contract, method] as its result.
    """

    bytes_max: ClassVar[int] = 1 << 20

    wire_id: Annotated[bytes, HASH]
    code: Annotated[str, Text(64)]
    detail: Annotated[str, Text(1024, 0)]
    steps_used: Annotated[int, UInt()]
    events: Annotated[tuple[Event, ...], Items(Nested(Event), EVENTS_MAX)]
    result: Annotated[Any, Data()]

    @cached_property
    def raw(self) -> bytes:
        """The canonical bytes, from those of the events, which the event root takes, too."""
        head = map(encode, (self.wire_id, self.code, self.detail, self.steps_used))
        events = encode_array([event.raw for event in self.events])
        return encode_array([*head, events, encode(self.result)])

    @property
    def succeeded(self) -> bool:
        return self.code == OK
