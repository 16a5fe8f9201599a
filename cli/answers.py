"""What the client gives and raises: outcomes, answers, blocks, events, errors; and signing.

Part of the client library: import all of it from ``cli.client``.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from consensus.primitives.crypto import public_key
from consensus.primitives.errors import HansaError
from consensus.transaction import VERSION, Call, Transaction, TransactionBody

Position = tuple[int, int, int]

STEPS_MAX = 200_000
VALID_FOR_MS = 300_000
"""Some ten times what an event of the built-in contracts takes."""


class ClientError(HansaError):
    """Base of what :class:`Client` raises."""


class NodeUnreachable(ClientError):
    """NODE_UNREACHABLE: no node answers. Nothing is known of what was submitted."""


class BadAnswer(ClientError):
    """BAD_ANSWER: what answers at that address isn't a Hansa node."""


class RequestFailed(ClientError):
    """The node refused a request; ``code`` is the node's, ``http_status`` its kind."""

    def __init__(self, code: str, message: str, http_status: int) -> None:
        super().__init__(code, message)
        self.http_status = http_status


class Refused(ClientError):
    """A transaction didn't take effect; ``code`` is the reason, ``outcome`` has the details."""

    def __init__(self, outcome: Outcome) -> None:
        how: str = outcome.status
        if how == "committed":
            how = f"failed in block {outcome.height}"
        message = f"transaction {outcome.tx_id.hex()} {how}: {outcome.message}"
        super().__init__(outcome.code, message.rstrip(": "))
        self.outcome = outcome


class TimedOut(ClientError):
    """TIMED_OUT: ``pending`` may still be committed; ``outcomes`` are those that are known.

    ``held_out`` are those of the pending that the node is known to hold out (TX_HELD_OUT), because
    validators do not agree on their outcome.
    """

    def __init__(
        self,
        outcomes: Sequence[Outcome],
        pending: Sequence[bytes],
        held_out: Sequence[bytes] = (),
    ) -> None:
        message = f"{len(pending)} transactions are still undecided"
        if held_out:
            message += (
                "; held out (TX_HELD_OUT), as validators do not agree on the outcome: "
                + ", ".join(tx_id.hex() for tx_id in held_out)
            )
        super().__init__("TIMED_OUT", message)
        self.outcomes = tuple(outcomes)
        self.pending = tuple(pending)
        self.held_out = tuple(held_out)


@dataclass(frozen=True)
class Submitted:
    """What one node said to one transaction. ``tx_id`` is None when it couldn't be read."""

    tx_id: bytes | None
    accepted: bool
    code: str
    message: str
    retry_after_ms: int | None


@dataclass(frozen=True)
class Outcome:
    """How a transaction ended. A committed one may still have failed: see ``code``."""

    tx_id: bytes
    status: Literal["committed", "refused", "expired"]
    code: str
    message: str = ""
    height: int | None = None

    @property
    def succeeded(self) -> bool:
        return self.status == "committed" and self.code == "OK"

    def require(self) -> Outcome:
        """Itself, or Refused unless the transaction took effect."""
        if not self.succeeded:
            raise Refused(self)
        return self


@dataclass(frozen=True)
class Answer:
    """A query's result and the height of the state that gave it."""

    height: int
    value: Any


@dataclass(frozen=True)
class Block:
    """A committed block in the stream of positions: (tx id, receipt code) in order."""

    height: int
    time_ms: int
    hash: bytes
    txs: tuple[tuple[bytes, str], ...]


@dataclass(frozen=True)
class ChainEvent:
    """An event of a committed transaction at its position (height, transaction, event)."""

    position: Position
    tx_id: bytes | None
    contract: str
    name: str
    fields: dict[str, Any]
    time_ms: int


def make_transaction(
    seed: bytes,
    chain_id: bytes,
    calls: Iterable[Call | tuple[str, str, Mapping[str, Any]]],
    *,
    valid_for_ms: int = VALID_FOR_MS,
    valid_until: int | None = None,
    steps_max: int = STEPS_MAX,
    salt: bytes | None = None,
) -> Transaction:
    """A signed transaction of ``calls``, (contract, method, args) each.

    ``seed`` is the sender's 32-byte Ed25519 seed. It can be committed while the chain's time is at
    most ``valid_until`` (milliseconds since 1970), by default ``valid_for_ms`` from now; the chain
    refuses one that lies too far ahead. ``steps_max`` bounds the work it may cause; it also counts
    against the block's bound, so a modest one is committed sooner. The salt makes equal calls two
    different transactions.
    """
    if valid_until is None:
        valid_until = time.time_ns() // 1_000_000 + valid_for_ms
    body = TransactionBody(
        version=VERSION,
        chain_id=chain_id,
        sender=public_key(seed),
        calls=tuple(
            call if isinstance(call, Call) else Call(call[0], call[1], dict(call[2]))
            for call in calls
        ),
        valid_until=valid_until,
        steps_max=steps_max,
        salt=secrets.token_bytes(16) if salt is None else salt,
    )
    signed = body.signed(seed)
    return Transaction.parse(signed.raw)  # names what a node would refuse, before it is sent
