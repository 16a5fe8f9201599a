"""Executing blocks, queries and genesis.

A block begins with what has become due by itself: decisions of governance that come into force,
then calls that waited for their time. Then come the transactions, then the usage counters.

A transaction is atomic: its calls share one overlay, and either all their writes enter the
block's overlay or none does. A failed transaction leaves only its receipt and its usage.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from consensus.evidence import Evidence
from consensus.primitives.codec import encode
from consensus.primitives.crypto import sha256
from consensus.primitives.errors import InputError
from consensus.receipt import OK, Receipt
from consensus.transaction import Transaction
from contracts.runtime import due, system, usage
from contracts.runtime.overlay import Overlay, StateReader
from contracts.runtime.package import Package
from contracts.runtime.registry import Registry
from contracts.runtime.session import (
    CHECKS,
    IDENTITY,
    NOBODY,
    QUERIES,
    TIMED,
    BlockContext,
    Caller,
    Openings,
    Session,
    code_and_detail,
)
from contracts.runtime.steps import QUERY_STEPS_MAX, TRANSACTION_BYTE, OutOfSteps
from contracts.runtime.upgrade import Ran, attempt, changed_packages, migrate_into
from contracts.sdk.errors import ContractError, refuse

__all__ = ["BlockContext", "BlockExecutor", "StateReader", "bootstrap", "run_query"]

DUE_CALLS_MAX: Final = 64  # in one block; the others wait for the next
DUE_STEPS_MAX: Final = 1_000_000  # of one
DUE_BLOCK_STEPS_MAX: Final = 20_000_000  # once they have used so many, too, the others wait
ACTIVATIONS_MAX: Final = 16
ACTIVATION_STEPS_MAX: Final = 10_000_000
ACTIVATIONS_BLOCK_STEPS_MAX: Final = 100_000_000  # likewise
GENESIS_STEPS_MAX: Final = 2**62
ORGANISATION_SIZE_MAX: Final = 64

_DUE_TAG: Final = "hansa/due/1"


class BlockExecutor:
    """Executes one block over a state that it never touches: :meth:`begin`, each transaction, then
    :meth:`finish`.

    May raise LocalFault (NODE_FAULT, RUNTIME_UNKNOWN and the store's): this node is at fault, there
    is no outcome.
    """

    def __init__(self, registry: Registry, state: StateReader, block: BlockContext) -> None:
        self.registry = registry
        """The code that runs this block; :meth:`begin` may replace it."""
        self.system_changed = False
        """Whether what nodes go by was written: by a decision that came into force, or, once
        finished, by whatever else a version of governance has for that."""
        self.write_sets: list[dict[bytes, bytes | None]] = []
        """What each executed transaction wrote, in order: reports of divergence compare it."""
        self.due_receipts: list[Receipt] = []
        """Of what ran by itself. In the block they stand behind the transactions' receipts."""
        self.due_write_sets: list[dict[bytes, bytes | None]] = []
        self._overlay = Overlay(state)
        self._block = block
        self._session = Session(registry, block, self._ask_identity)
        # Whose key a sender is, for as long as no transaction of the block changes identity.
        self._callers: dict[bytes, Caller] = {}
        self._usage = self._usage_book()

    @property
    def state(self) -> StateReader:
        """The state as the block has left it so far."""
        return self._overlay

    @property
    def changes(self) -> dict[bytes, bytes | None]:
        """The block's net writes so far: key to value, None where deleted."""
        return self._overlay.changes

    def _usage_book(self) -> usage.UsageBook:
        is_kept = self.registry.get(usage.NAME) is not None
        return usage.UsageBook(self._overlay, self._block.time_ms, is_kept=is_kept)

    # --- what happens by itself ---------------------------------------------------------------

    def begin(self) -> None:
        """Run what has become due, before the block's transactions."""
        for _ in self.begin_in_parts():
            pass

    def begin_in_parts(self) -> Iterator[None]:
        """The same with pauses, in which the node may do something else."""
        if self.registry.get(system.GOVERNANCE) is not None:
            for key, proposal in system.scheduled(
                self._overlay, self._block.height, ACTIVATIONS_MAX
            ):
                self._activate(key, proposal)
                yield
                if self._steps_by_itself() >= ACTIVATIONS_BLOCK_STEPS_MAX:
                    break
            for evidence in self._block.evidence:
                self._accuse(evidence)
        before = self._steps_by_itself()
        for key, call in due.ripe(self._overlay, self._block.time_ms, DUE_CALLS_MAX):
            if self._steps_by_itself() - before >= DUE_BLOCK_STEPS_MAX:
                break
            if self._overlay.get(key) is None:
                continue  # one before it has taken it back
            self._overlay.put(key, None)
            overlay = Overlay(self._overlay)
            # What waits is run all the same: others may rely on it. But it can't go on for ever.
            line = self._usage.line(call.organisation)
            work = partial(self._session.run, call.contract, call.method, call.args, TIMED)
            may_queue = line.exceeded(0, 1) is None
            ran = attempt(self._session, overlay, DUE_STEPS_MAX, work, call.organisation, may_queue)
            self._keep(ran, overlay, call.contract, call.method)
            line.count(ran.steps_used, 0, 1, 0)
            yield

    def _steps_by_itself(self) -> int:
        return sum(receipt.steps_used for receipt in self.due_receipts)

    def _activate(self, key: bytes, proposal: int) -> None:
        """Put a decision into force, all of it or nothing. Where it brings new code, that is loaded
        and its migration run; if one fails, the old code stays and governance is told."""
        overlay = Overlay(self._overlay)
        ran, registry = self._activated(proposal, overlay)
        self._keep(ran, overlay, system.GOVERNANCE, "activate")
        if ran.code == OK:
            self._run_code(registry)
        else:
            args = {"proposal": proposal, "code": ran.code, "detail": ran.detail}
            overlay = Overlay(self._overlay)
            ran = self._tell_governance("failed", args, overlay)
            self._keep(ran, overlay, system.GOVERNANCE, "failed")
        self._overlay.put(key, None)  # whatever became of it, not again
        self.system_changed = True

    def _accuse(self, evidence: Evidence) -> None:
        """Show governance which validator contradicted itself."""
        overlay = Overlay(self._overlay)
        args = {"key": evidence.sender, "kind": evidence.kind, "height": evidence.height}
        ran = self._tell_governance("accuse", args, overlay)
        self._keep(ran, overlay, system.GOVERNANCE, "accuse")

    def _activated(self, proposal: int, overlay: Overlay) -> tuple[Ran, Registry]:
        ran = self._tell_governance("activate", {"proposal": proposal}, overlay)
        if ran.code != OK:
            return ran, self.registry
        return self._with_new_code(ran, overlay, system.voters(self._overlay, proposal))

    def _with_new_code(
        self, ran: Ran, overlay: Overlay, voters: Sequence[bytes] = ()
    ) -> tuple[Ran, Registry]:
        """Load what governance's maps now hold and migrate the contracts that changed. The chain
        must still be governed after it: with state that nodes can read, and by those who voted."""
        if not any(key.startswith(system.PACKAGES_HEAD) for key in overlay.changes):
            return ran, self.registry
        try:
            registry = self.registry.with_packages(system.read_packages(overlay))
        except InputError as error:
            return ran.failed(error.code, "the new source does not load"), self.registry
        changed = dict(changed_packages(self.registry, registry))
        for name, from_version in changed.items():
            migrated = migrate_into(registry, overlay, self._block, name, from_version)
            ran = ran.then(migrated)
            if ran.code != OK:
                return ran, self.registry
        if system.GOVERNANCE in changed and not system.is_readable(overlay):
            return ran.failed("SYSTEM_UNREADABLE", "nodes can't read its state"), self.registry
        for key in voters if IDENTITY in changed else ():
            before = self._organisation_of_admin(self.registry, key, self._overlay)
            if before and self._organisation_of_admin(registry, key, overlay) != before:
                return ran.failed("VOTERS_LOCKED_OUT", f"{before} could not vote"), self.registry
        return ran, registry

    def _organisation_of_admin(self, registry: Registry, key: bytes, state: StateReader) -> str:
        """Whose corporate administrator a key is by an identity contract; empty if nobody's."""
        try:
            caller = self._ask_identity(key, state, registry)
        except (ContractError, OutOfSteps):
            return ""
        return caller.organisation if system.VOTER_ROLE in caller.roles else ""

    def _tell_governance(self, method: str, args: dict[str, Any], overlay: Overlay) -> Ran:
        work = partial(self._session.run, system.GOVERNANCE, method, args, TIMED)
        return attempt(self._session, overlay, ACTIVATION_STEPS_MAX, work)

    def replace(self, package: Package) -> Receipt:
        """Put a package into force here and now, as a decision would: for rehearsals."""
        overlay = Overlay(self._overlay)
        overlay.changes.update(system.package_values(package))
        ran, registry = self._with_new_code(Ran(OK, "", 0, ()), overlay)
        self._keep(ran, overlay, package.name, "migrate")
        if ran.code == OK:
            self._run_code(registry)
        return self.due_receipts[-1]

    def _run_code(self, registry: Registry) -> None:
        if registry is not self.registry:
            self.registry = registry
            self._session = Session(registry, self._block, self._ask_identity)
            self._usage = self._usage_book()

    def _keep(self, ran: Ran, overlay: Overlay, contract: str, method: str) -> None:
        """Keep the receipt of what ran by itself, and if it went well its writes. Nobody waits for
        a result, so there stands what it was."""
        wire_id = sha256(encode([_DUE_TAG, self._block.height, len(self.due_receipts)]))
        succeeded = ran.code == OK
        if succeeded:
            self._overlay.absorb(overlay)
        events = ran.events if succeeded else ()
        self.due_receipts.append(
            Receipt(wire_id, ran.code, ran.detail, ran.steps_used, events, [contract, method])
        )
        self.due_write_sets.append(overlay.changes if succeeded else {})

    # --- transactions -------------------------------------------------------------------------

    def execute(self, tx: Transaction) -> Receipt:
        """Run one transaction. Its ``result`` is the list of its calls' results."""
        body, session = tx.body, self._session
        calls, size = body.calls, len(tx.body_raw)
        meter = session.meter
        meter.start(body.steps_max)
        line = None
        try:
            caller = self._callers.get(body.sender) or self._look_up(body.sender)
            organisation = caller.organisation
            line = self._usage.line(organisation)
            exceeded = line.exceeded(size, len(calls))
            if exceeded is not None:
                refuse("QUOTA_EXCEEDED", f"{organisation}: {exceeded}")
            meter.charge(TRANSACTION_BYTE * size)
            overlay = Overlay(self._overlay)
            index = len(self.write_sets)
            session.enter(overlay, body.sender, caller, tx.tx_id, index, organisation)
            results = [session.run(call.contract, call.method, call.args) for call in calls]
        except ContractError as error:
            code, detail = code_and_detail(error)
        except OutOfSteps:
            code, detail = "OUT_OF_STEPS", f"steps_max is {body.steps_max}"
        else:
            code, detail = OK, ""
        used = meter.used
        if line is not None:
            line.count(used, size, len(calls), 1)
        if code != OK:
            self.write_sets.append({})
            return Receipt(tx.wire_id, code, detail, used, (), None)
        self._overlay.absorb(overlay)
        self.write_sets.append(overlay.changes)
        if session.identity_written:
            self._callers.clear()
        return Receipt.of_checked(
            wire_id=tx.wire_id,
            code=OK,
            detail="",
            steps_used=used,
            events=tuple(session.events),
            result=results,
        )

    def _look_up(self, sender: bytes) -> Caller:
        """Whose key it is. Refuses keys that may not sign (now).

        Its price is part of the call's, so that a remembered answer costs the same.
        """
        found = self._callers[sender] = self._ask_identity(sender, self._overlay)
        return found

    def _ask_identity(
        self, key: bytes, state: StateReader, registry: Registry | None = None
    ) -> Caller:
        registry = registry or self.registry
        if registry.get(IDENTITY) is None:
            return NOBODY
        meter = registry.meter
        kept = meter.state
        try:
            answer = _ask(registry, state, self._block, IDENTITY, "caller", {"key": key})
        finally:
            meter.state = kept
        return _caller(answer)

    def finish(self) -> None:
        """Write what each organisation used, after the last transaction."""
        self._usage.write()
        written = self._overlay.changes
        self.system_changed |= any(key.startswith(system.FOLLOWED_HEADS) for key in written)


def _caller(answer: Any) -> Caller:
    """What identity said, by whatever version of it. Refuses CONTRACT_FAULT."""
    match answer:
        case {"organisation": str(organisation), "roles": list(roles)}:
            attributes = answer.get("attributes", {})
            is_key = len(organisation) <= ORGANISATION_SIZE_MAX and organisation.isascii()
            if (
                (is_key and organisation.isprintable())
                and all(type(role) is str for role in roles)
                and type(attributes) is dict
            ):
                return Caller(organisation, tuple(roles), attributes)
    refuse("CONTRACT_FAULT", "identity does not say whose key it is")


def _ask(
    registry: Registry,
    state: StateReader,
    block: BlockContext,
    contract: str,
    method: str,
    args: dict[str, Any],
    openings: Openings | None = None,
) -> Any:
    registry.meter.start(QUERY_STEPS_MAX)
    session = Session(registry, block, read_only=True, openings=openings)
    session.enter(Overlay(state))
    return session.run(contract, method, args, QUERIES if openings is None else CHECKS)


def run_query(
    registry: Registry,
    state: StateReader,
    block: BlockContext,
    contract: str,
    method: str,
    args: dict[str, Any],
    openings: Openings | None = None,
) -> Any:
    """The canonical answer of a query on a committed state; with ``openings``, of a check.

    Raises InputError with the same codes as a receipt (OPENING_MISSING with the commitment in
    hexadecimal as its message), LocalFault when the node is at fault.
    """
    try:
        return _ask(registry, state, block, contract, method, args, openings)
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
        registry.meter.start(GENESIS_STEPS_MAX)
        session = Session(registry, block)
        session.enter(overlay)
        try:
            args = dict(genesis_args.get(module.name, {}))
            session.run(module.name, module.genesis.name, args, ("genesis",))
        except ContractError as error:
            raise InputError("GENESIS_INVALID", f"{error.code}: {error.message}") from error
    return overlay.changes
