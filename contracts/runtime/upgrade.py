"""Putting contract code into force: what changes, and the state's way to its new form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from consensus.receipt import OK, Event
from contracts.runtime.overlay import Overlay, StateReader
from contracts.runtime.registry import Registry
from contracts.runtime.session import BlockContext, Session, code_and_detail
from contracts.runtime.steps import OutOfSteps
from contracts.sdk.errors import ContractError

MIGRATION_STEPS_MAX: Final = 100_000_000


@dataclass(frozen=True)
class Ran:
    """How something ended that no transaction asked for. ``changes`` is what it wrote."""

    code: str
    detail: str
    steps_used: int
    events: tuple[Event, ...]
    changes: dict[bytes, bytes | None] = field(default_factory=dict)

    def failed(self, code: str, detail: str) -> Ran:
        return replace(self, code=code, detail=detail, events=())

    def then(self, after: Ran) -> Ran:
        """Both as one."""
        return Ran(
            after.code,
            after.detail,
            self.steps_used + after.steps_used,
            self.events + after.events,
        )


def attempt(
    session: Session,
    overlay: Overlay,
    steps_max: int,
    work: Callable[[], Any],
    pays: str = "",
    may_queue: bool = True,
) -> Ran:
    """Do the session's work on an overlay and a budget of its own. Raises LocalFault."""
    meter = session.meter
    meter.start(steps_max)
    session.enter(overlay, pays=pays, may_queue=may_queue)
    try:
        work()
    except ContractError as error:
        code, detail = code_and_detail(error)
        return Ran(code, detail, meter.used, ())
    except OutOfSteps:
        return Ran("OUT_OF_STEPS", f"more than {steps_max} steps", meter.used, ())
    return Ran(OK, "", meter.used, tuple(session.events), overlay.changes)


def changed_packages(old: Registry, new: Registry) -> Iterator[tuple[str, int]]:
    """Name, and version so far, of each contract whose code is another; 0 for a new one."""
    for module in new:
        before = old.get(module.name)
        if before is None:
            yield module.name, 0
        elif before.digest != module.digest:
            yield module.name, before.contract.version


def migrate_into(
    registry: Registry, overlay: Overlay, block: BlockContext, contract: str, from_version: int
) -> Ran:
    """Bring a contract's state on an overlay to the form of its new code.

    A new contract's genesis method is run, with no arguments; of others the migration. A contract
    without one has nothing to do. What a failure has written is not to be kept.
    """
    module = registry.get(contract)
    assert module is not None
    method = module.migrate if from_version else module.genesis
    if method is None:
        return Ran(OK, "", 0, ())
    args = {"from_version": from_version} if from_version else {}
    session = Session(registry, block)
    work = partial(session.run, contract, method.name, args, (method.kind,))
    return attempt(session, overlay, MIGRATION_STEPS_MAX, work)


def migrate(
    registry: Registry, state: StateReader, block: BlockContext, contract: str, from_version: int
) -> Ran:
    """:func:`migrate_into` over a state that stays as it is; ``registry`` has the new code."""
    return migrate_into(registry, Overlay(state), block, contract, from_version)
