"""Trouble with the height being decided: outcomes that differ, votes that are waited for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from node.doctor.case import Case, age, names_of
from node.doctor.findings import DEGRADED, STOPPED, Finding
from node.vitals import Agreement

LOST_ROUNDS: Final = 3


def check_outcomes(case: Case) -> Iterator[Finding]:
    v = case.v
    page = "docs/operations.md, Validators disagree."
    for kind, height, sentence in v.divergences:
        if kind == "diverged":
            yield Finding(
                "OUTCOME_DIVERGES",
                STOPPED,
                f"At height {height} this node's own execution differs from the quorum's:"
                f" {sentence}",
                f"Compare its software with the others', then start it again: {page} Keep votes/"
                " and keys/ in any case.",
                (v.name,),
                "Divergence",
            )
        else:
            yield Finding(
                "VOTE_SPLIT",
                STOPPED if case.stalled else DEGRADED,
                f"At height {height} validators got different outcomes from one content and none"
                f" had a quorum: {sentence}",
                f"Bring all validators to one build: {page}",
                (v.name,),
                "rule 8",
            )
    for one in v.members:
        if one.dissent_height is not None and not one.me:
            yield Finding(
                "VALIDATOR_DIVERGES",
                DEGRADED,
                f"{case.called(one)} had another outcome than was committed at height"
                f" {one.dissent_height}; it stops when it sees the block.",
                f"Tell {one.organisation}; its own report names the cause: {page}",
                (one.name,),
                "Divergence",
            )


def check_height(case: Case) -> Iterator[Finding]:
    """Votes are waited for though enough validators seem to be there."""
    v, a = case.v, case.v.agreement
    if a is None or not v.me:
        if case.stalled:
            yield Finding(
                "CHAIN_STALLED",
                STOPPED,
                f"No block for {age(v.since_block_ms)}, though one was due"
                f" {age(case.overdue_ms)} ago. This node has no vote and hears none, so it can't"
                " tell who is missing.",
                "Run hansa doctor at a validator.",
                (v.name,),
            )
        return
    for reason in v.contents_refused:
        yield Finding(
            "PROPOSAL_REFUSED",
            STOPPED if case.stalled else DEGRADED,
            f"A proposal of height {a.height} breaks a rule on this node: {reason}",
            "If only this node says so, its state or software is not the others': compare both. If"
            " all do, the proposer's is.",
            (v.name,),
            "rule 2",
        )
    if not case.stalled:
        return
    if a.lacks_block:
        yield Finding(
            "BLOCK_MISSING", STOPPED,
            f"Height {a.height} is decided, but this node has not got the block that a quorum"
            " committed to; it asks its peers for it.",
            "Reconnect it to a validator that has it.", (v.name,), "rule 3",
        )  # fmt: skip
        return
    kind, what, names = awaited(case, a)
    if kind == "late":
        yield Finding("PROPOSAL_LATE", STOPPED, f"At height {a.height}, round {a.round}, {what}.",
                      "Compare the clocks of all validators.", names, "rule 7")  # fmt: skip
    elif kind == "execution":
        yield Finding("EXECUTION_WAITS", STOPPED, f"At height {a.height}, round {a.round}, {what}.",
                      "Look at this machine's load and memory, and the log for bodies that could"
                      " not be fetched.", names, "rule 2")  # fmt: skip
    else:
        left = "its timer does not run yet" if a.timer_ms is None else (
            f"the round ends in {age(max(a.timer_ms, 0))}"
        )  # fmt: skip
        yield Finding(
            "VOTES_WAIT",
            STOPPED,
            f"No block for {age(v.since_block_ms)}. Height {a.height} is in round {a.round}"
            f" ({left}) and waits for {what}.",
            f"Run hansa doctor at {names_of(names) or 'the others'}. Wait for the next round:"
            " rounds grow longer and proposals smaller until one succeeds.",
            names,
            f"rule {kind}",
        )


def awaited(case: Case, a: Agreement) -> tuple[str, str, tuple[str, ...]]:
    """(rule or kind of trouble, what the height waits for, whose it is)."""
    v = case.v
    everybody = [one.name for one in v.members]
    if not a.proposal:
        gone = [name for name, round_ in a.round_changes.items() if round_ >= a.round]
        if a.round > 0 and len(gone) < v.quorum:
            lacking = tuple(name for name in everybody if name not in gone)
            return "6", _wanted(v.quorum, "ROUND-CHANGEs", gone, lacking), lacking
        return "1", f"the PROPOSAL of {a.proposer}", (a.proposer,)
    if a.execution == "running":
        return (
            "execution",
            f"this node waits for its own execution of {a.txs} transactions, or for their bodies",
            (v.name,),
        )
    best: Sequence[str] = max((names for _, names in a.prepares), key=len, default=())
    lacking = tuple(name for name in everybody if name not in best)
    if a.late and len(best) < v.witness:
        return (
            "late",
            f"the time of {a.proposer}'s proposal is more than {case.drift_ms} ms from this"
            f" machine's clock, and {v.witness} PREPAREs of others would override that:"
            f" {len(best)} came",
            (a.proposer, v.name),
        )
    if len(best) < v.quorum:
        return "2", _wanted(v.quorum, "PREPAREs", best, lacking), lacking
    sealed: Sequence[str] = max((names for _, _, names in a.commits), key=len, default=())
    lacking = tuple(name for name in everybody if name not in sealed)
    return "3", _wanted(v.quorum, "COMMITs", sealed, lacking), lacking


def _wanted(needed: int, kind: str, there: Sequence[str], lacking: Sequence[str]) -> str:
    told = f"{names_of(there)} sent theirs" if there else "nobody sent one"
    return (
        f"{needed - len(there)} more of the {needed} {kind} ({told}; missing: {', '.join(lacking)})"
    )


def check_rounds(case: Case) -> Iterator[Finding]:
    lost = sum(case.v.lost_rounds.values())
    if lost >= LOST_ROUNDS and not case.stalled:
        told = ", ".join(f"{count} of {name}" for name, count in case.v.lost_rounds.items())
        yield Finding(
            "ROUNDS_LOST",
            DEGRADED,
            f"{lost} rounds of the newest heights ended without a decision: {told}. Each costs"
            f" {case.timeout_ms} ms or more.",
            "Look at those validators: load, disk, clock and network. If it is all of them,"
            f" round_timeout_ms ({case.timeout_ms}) may be too short for this network.",
            tuple(sorted(case.v.lost_rounds)),
            "rule 6",
        )
