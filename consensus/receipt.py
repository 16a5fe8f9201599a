"""Receipts and events: what a transaction in a block brought about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final

from consensus.primitives.codec import HASH, Data, Items, Nested, Text, UInt, Wire

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

    @property
    def succeeded(self) -> bool:
        return self.code == OK
