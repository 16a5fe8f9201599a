"""Executing transactions, queries and genesis.

A transaction is atomic: its calls share one overlay, and either all their writes enter the
block's overlay or none does. A failed transaction leaves only its receipt.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from consensus.primitives.errors import InputError
from consensus.receipt import OK, Receipt
from consensus.transaction import Transaction
from contracts.runtime.overlay import Overlay, StateReader
from contracts.runtime.registry import Registry
from contracts.runtime.session import (
    IDENTITY,
    NOBODY,
    BlockContext,
    Caller,
    Origin,
    Session,
    code_and_detail,
)
from contracts.runtime.steps import QUERY_STEPS_MAX, TRANSACTION_BYTE, Meter, OutOfSteps
from contracts.sdk.errors import ContractError

__all__ = ["BlockContext", "BlockExecutor", "StateReader", "bootstrap", "run_query"]


class BlockExecutor:
    """Executes a block's transactions in order over a state that it never touches.

    May raise LocalFault (NODE_FAULT and the store's): this node is at fault, there is no outcome.
    """

    def __init__(self, registry: Registry, state: StateReader, block: BlockContext) -> None:
        self._registry = registry
        self._overlay = Overlay(state)
        self._block = block
        self._executed = 0
        self.write_sets: list[dict[bytes, bytes | None]] = []
        """What each executed transaction wrote, in order: reports of divergence compare it."""
        # Whose key a sender is, for as long as no transaction of the block changes identity.
        self._callers: dict[bytes, Caller] = {}

    @property
    def changes(self) -> dict[bytes, bytes | None]:
        """The block's net writes so far: key to value, None where deleted."""
        return self._overlay.changes

    def execute(self, tx: Transaction) -> Receipt:
        """Run one transaction. Its ``result`` is the list of its calls' results."""
        body = tx.body
        index = self._executed
        self._executed += 1
        overlay = Overlay(self._overlay)
        meter = Meter(body.steps_max)
        origin = Origin(body.sender, tx.tx_id, index, self._who)
        session = Session(self._registry, self._block, overlay, meter, origin)
        try:
            meter.charge(TRANSACTION_BYTE * len(tx.body_raw))
            results = [session.call(call.contract, call.method, call.args) for call in body.calls]
        except ContractError as error:
            code, detail = code_and_detail(error)
        except OutOfSteps:
            code, detail = "OUT_OF_STEPS", f"steps_max is {body.steps_max}"
        else:
            self._overlay.absorb(overlay)
            self.write_sets.append(overlay.changes)
            if session.identity_written:
                self._callers.clear()
            return Receipt(tx.wire_id, OK, "", meter.used, tuple(session.events), results)
        self.write_sets.append({})
        return Receipt(tx.wire_id, code, detail, meter.used, (), None)

    def _who(self, session: Session) -> Caller:
        """The sender's organisation and roles. Refuses keys that may not sign (now).

        The price is part of the call's, so that a remembered answer costs the same.
        """
        sender = session.origin.sender
        if session.identity_written:
            return self._look_up(sender, session.overlay)
        found = self._callers.get(sender)
        if found is None:
            found = self._callers[sender] = self._look_up(sender, self._overlay)
        return found

    def _look_up(self, key: bytes, overlay: Overlay) -> Caller:
        if self._registry.get(IDENTITY) is None:
            return NOBODY
        answer = _asking(self._registry, overlay, self._block).ask(IDENTITY, "caller", {"key": key})
        return Caller(answer["organisation"], tuple(answer["roles"]))


def _asking(registry: Registry, overlay: Overlay, block: BlockContext) -> Session:
    return Session(registry, block, overlay, Meter(QUERY_STEPS_MAX), Origin(), read_only=True)


def run_query(
    registry: Registry,
    state: StateReader,
    block: BlockContext,
    contract: str,
    method: str,
    args: dict[str, Any],
) -> Any:
    """The canonical answer of a query on a committed state.

    Raises InputError with the same codes as a receipt, LocalFault when the node is at fault.
    """
    try:
        return _asking(registry, Overlay(state), block).ask(contract, method, args)
    except ContractError as error:
        raise InputError(*code_and_detail(error)) from error
    except OutOfSteps:
        raise InputError("OUT_OF_STEPS", f"a query has {QUERY_STEPS_MAX} steps") from None


class _Nothing:
    """The state before block 0."""

    def get(self, key: bytes) -> bytes | None:
        return None

    def scan(self, start: bytes, stop: bytes) -> Any:
        return iter(())


def bootstrap(
    registry: Registry, block: BlockContext, genesis_args: Mapping[str, dict[str, Any]]
) -> dict[bytes, bytes | None]:
    """The contracts' state of block 0: each genesis method run with its arguments, in order.

    Raises InputError GENESIS_INVALID.
    """
    for name in sorted(genesis_args):
        module = registry.get(name)
        if module is None or module.genesis is None:
            raise InputError("GENESIS_INVALID", f"no contract {name} takes genesis arguments")
    overlay = Overlay(_Nothing())
    for module in registry:
        if module.genesis is None:
            continue
        session = Session(registry, block, overlay, Meter(2**62), Origin())
        try:
            session.start(module.name, dict(genesis_args.get(module.name, {})))
        except ContractError as error:
            raise InputError("GENESIS_INVALID", f"{error.code}: {error.message}") from error
    return overlay.changes
