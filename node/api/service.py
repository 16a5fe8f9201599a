"""What the HTTP API needs of a node, and the shapes of its answers.

The node implements :class:`NodeService`; the API knows nothing else of it. Any method may raise a
``HansaError``; its code decides the HTTP status (see ``node.api.app``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Position = tuple[int, int, int]
"""Where an event stands: (height, index of its receipt, event index). Receipts beyond the block's
transactions are those of due calls and activations."""

TxState = Literal["pending", "committed", "expired", "refused", "unknown"]


@dataclass(frozen=True)
class SubmitResult:
    """What admission said. ``accepted`` promises nothing yet; ``code`` is OK or tells the reason.

    ``tx_id`` is None when the bytes are no transaction. What the node already has is accepted again
    with ALREADY_PENDING or ALREADY_COMMITTED. ``retry_after_ms`` is set when the same bytes may be
    accepted later (MEMPOOL_FULL).
    """

    tx_id: bytes | None
    accepted: bool
    code: str = "OK"
    message: str = ""
    retry_after_ms: int | None = None


@dataclass(frozen=True)
class TxStatus:
    """Where a transaction stands. ``code`` is its receipt's when committed, else why not.

    Fields after ``detail`` are set for committed transactions only. ``events`` and ``result`` are
    canonical values, not yet JSON.
    """

    tx_id: bytes
    status: TxState
    code: str = ""
    detail: str = ""
    height: int | None = None
    index: int | None = None
    block_hash: bytes | None = None
    time_ms: int | None = None
    steps_used: int | None = None
    events: Sequence[dict[str, Any]] = field(default_factory=tuple)
    result: Any = None


@dataclass(frozen=True)
class CommittedBlock:
    """One committed block in the stream of positions: its transactions' ids and codes, in order."""

    height: int
    time_ms: int
    hash: bytes
    txs: Sequence[tuple[bytes, str]]


@dataclass(frozen=True)
class EventRecord:
    """One event; ``fields`` holds canonical values. ``tx_id`` is None where no transaction brought
    it about but a call that had become due, or an activation."""

    position: Position
    tx_id: bytes | None
    contract: str
    name: str
    fields: dict[str, Any]
    time_ms: int


@dataclass(frozen=True)
class QueryResult:
    """A contract's answer (a canonical value) and the height of the state that gave it."""

    height: int
    value: Any


class NodeService(Protocol):
    """The node, as the API sees it."""

    async def submit(self, raws: Sequence[bytes]) -> list[SubmitResult]:
        """Admit 1 to 1000 signed transactions; one result each, in order."""

    async def tx_status(self, tx_id: bytes) -> TxStatus:
        """Where a transaction stands on this node."""

    async def transaction_bytes(self, tx_id: bytes) -> bytes | None:
        """The signed bytes of a waiting or committed transaction."""

    def positions(self, since_height: int | None) -> AsyncIterator[CommittedBlock]:
        """Blocks from ``since_height`` on (None: from the next one), in order, without end.

        Read from the store while behind, so that a slow reader costs no memory.
        """

    def events(
        self, since: Position | None, contract: str | None, name: str | None
    ) -> AsyncIterator[EventRecord]:
        """Events at ``since`` or later (None: of the next block on), in order, without end."""

    async def query(
        self, contract: str, method: str, args: dict[str, Any], height: int | None = None
    ) -> QueryResult:
        """Run a contract's query on the newest committed state, or on that after an earlier block.
        Raises InputError STATE_NOT_KEPT."""

    async def block(self, height: int | None) -> dict[str, Any] | None:
        """A committed block as JSON-able data (None: the newest), or None when there is none."""

    async def block_bytes(self, height: int) -> bytes | None:
        """A committed block with its certificate, canonical; genesis has none."""

    async def block_receipts(self, height: int) -> bytes | None:
        """The canonical array of a committed block's receipts, those of what was due last."""

    def status(self) -> dict[str, Any]:
        """For operators: ``height`` and ``block_time_ms`` of the tip, peers, mempool, versions."""

    def doctor(self) -> dict[str, Any]:
        """``verdict`` (a sentence), ``findings`` and the ``vitals`` that they were judged by."""

    def evidence(self, after: bytes | None, limit: int) -> dict[str, Any]:
        """A page of ``evidence`` against validators that stands in blocks, the digest to go on
        behind (``next``), and with the first page what is ``waiting`` for a block."""

    def recording(self) -> bytes:
        """The flight recording: what went into the core lately."""

    def contracts(self) -> dict[str, Any]:
        """The contracts' schema: methods, arguments, documentation."""

    def genesis(self) -> dict[str, Any]:
        """The genesis document's JSON."""

    def readiness(self) -> tuple[bool, str]:
        """Whether the node can usefully serve clients, and if not why."""

    def metrics_text(self) -> bytes:
        """All metrics in Prometheus' text format."""
