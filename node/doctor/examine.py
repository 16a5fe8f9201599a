"""Why does it not advance? Vital signs in, findings in plain words out; pure.

Each check looks at one kind of trouble and names who, what, the figures, the rule that waits, and
the safe next action. Checks know nothing of each other: ``node.doctor.findings`` orders what they
find and leaves out what another finding explains. Whoever reads this has been woken at night.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from node.doctor import height, links, own, work
from node.doctor.case import Case, age
from node.doctor.findings import STOPPED, Finding, is_healthy, ordered
from node.vitals import Vitals

CHECKS: Final[tuple[Callable[[Case], Iterator[Finding]], ...]] = (
    own.check_admission,
    own.check_keys,
    own.check_memory,
    own.check_contradictions,
    own.check_disk,
    links.check_links,
    links.check_sync,
    links.check_clocks,
    height.check_outcomes,
    height.check_height,
    height.check_rounds,
    work.check_transactions,
    work.check_notices,
)


def diagnose(vitals: Vitals) -> list[Finding]:
    """All that is wrong at a running node, the cause first; empty or notices when nothing is."""
    case = Case(vitals)
    return ordered(finding for check in CHECKS for finding in check(case))


def verdict(vitals: Vitals, findings: Sequence[Finding]) -> str:
    """One sentence over it all. That nothing is wrong is said only where that is known."""
    v = vitals
    if not is_healthy(findings):
        stopped = sum(one.severity == STOPPED for one in findings)
        what = "does not advance" if stopped else "advances, but not everything is as it should be"
        return f"{v.name} at height {v.height} {what}."
    case = Case(v)
    there = len(case.there)
    return (
        f"Nothing is wrong at {v.name}: height {v.height}, {age(v.since_block_ms)} old;"
        f" {there} of {v.validators} validators in touch, {v.quorum} needed;"
        f" {_idle(v)}."
    )


def _idle(v: Vitals) -> str:
    if v.waiting_txs:
        return f"{v.waiting_txs} transactions wait for the next block"
    pace = age(v.params["empty_block_interval_ms"])
    return f"no transaction waits, so a block comes every {pace}"
