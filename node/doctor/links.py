"""Trouble between nodes: who is missing, silent or behind, and whose clock is wrong."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Final

from node.doctor.case import BEHIND_BLOCKS, SETTLED_MS, SILENT_BLOCKS, Case, age, ahead_of, names_of
from node.doctor.findings import DEGRADED, STOPPED, Finding
from node.doctor.height import awaited
from node.vitals import Member

SYNC_MS: Final = 15_000


def check_links(case: Case) -> Iterator[Finding]:
    v = case.v
    away = case.away
    if case.others and len(away) == len(case.others):
        reasons = dict.fromkeys(one.last_error for one in away if one.last_error)
        told = "; ".join(f'"{one}"' for one in reasons) or "nothing was heard at all"
        yield Finding(
            "NODE_ALONE",
            STOPPED,
            f"This node reaches none of the {len(away)} other validators: {told}.",
            "Look at this machine's network first: cable, firewall, address, name service. Then ask"
            " another operator whether the others see each other; they may go on without this one.",
            (v.name,),
        )
        return
    if not v.me:
        if len(case.there) < v.witness:
            yield _missing(case, "QUORUM_MISSING", v.witness, "to follow the chain")
        elif case.stalled and len(case.there) < v.quorum:
            yield _missing(case, "QUORUM_MISSING", v.quorum, "for a block")
        elif away:
            yield _missing(case, "VALIDATORS_MISSING", v.quorum, "for a block")
    elif len(case.able) < v.quorum:
        if away and all(one.link_blocks >= SILENT_BLOCKS for one in away):
            yield Finding(
                "LINKS_MISSING",
                DEGRADED,
                f"This node reaches too few validators for a quorum, yet blocks come: the others"
                f" reach each other. {' '.join(f'{case.why_away(one)}.' for one in away)}",
                "Look at the network between this machine and those.",
                tuple(one.name for one in away),
            )
        else:
            yield _missing(case, "QUORUM_MISSING", v.quorum, "for a block")
    elif away:
        yield _missing(case, "VALIDATORS_MISSING", v.quorum, "for a block")
    for one in case.silent:
        yield Finding(
            "VALIDATORS_SILENT",
            DEGRADED,
            f"{_silence(case, one)}.",
            f"Ask {one.organisation} to run hansa doctor there: it may be waiting for its vote log"
            " (rule 9), lack its key, or be unable to hear this node.",
            (one.name,),
        )
    for one in case.slow_peers:
        yield Finding(
            "VALIDATORS_BEHIND",
            DEGRADED,
            f"{case.called(one)} is {v.height - (one.height or 0)} blocks behind, at height"
            f" {one.height}: it catches up and does not vote meanwhile.",
            "Wait. If its height does not grow, run hansa doctor there.",
            (one.name,),
        )


def _silence(case: Case, one: Member) -> str:
    heard = (
        "no vote of it came since this node started"
        if one.heard_ms is None
        else f"its newest vote came {age(one.heard_ms)} ago, at height {one.heard_height}"
    )
    return f"{case.called(one)} is connected but does not vote: {heard}"


def _missing(case: Case, code: str, needed: int, purpose: str) -> Finding:
    v = case.v
    stands = code == "QUORUM_MISSING"
    count = len(case.able) if v.me else len(case.there)
    parts = [f"{case.why_away(one)}." for one in case.away]
    missing = list(case.away)
    if stands and v.me:
        parts += [f"{_silence(case, one)}." for one in case.silent]
        parts += [
            f"{case.called(one)} is at height {one.height} and catches up."
            for one in case.slow_peers
        ]
        missing += [*case.silent, *case.slow_peers]
        if not v.votes:
            parts.append("This node does not vote itself.")
    if stands:
        text = (
            f"This node can count on {count} of {v.validators} validators, and {needed} are needed"
            f" {purpose}: height {v.height + 1} can't be decided here"
            f" ({age(v.since_block_ms)} since the last block). {' '.join(parts)}{_heard(case)}"
        )
        action = (
            f"Bring {names_of(one.name for one in missing) or 'the others'} back; blocks then go on"
            " by themselves, nothing is lost. If they run, the network between is cut: run hansa"
            " doctor there too. Don't wipe a node, don't use --vote-from, and don't vote anybody"
            " out: that needs a quorum too."
        )
    else:
        spare = count - needed
        text = (
            f"{' '.join(parts)} Blocks go on: this node sees {count} of {v.validators} validators,"
            f" {needed} are needed {purpose}"
            f"{f', so {spare} more may fail' if spare > 0 else ': one more missing stops it'}."
        )
        action = (
            f"Start {names_of(one.name for one in missing)} again, or mend the network to it: it"
            " catches up by itself. There is no hurry as long as nobody else fails."
        )
    severity = STOPPED if stands else DEGRADED
    return Finding(code, severity, text, action, tuple(one.name for one in missing), "rule 3")


def _heard(case: Case) -> str:
    a = case.v.agreement
    if not case.v.me or a is None or not case.stalled:
        return ""
    return f" In round {a.round} this node waits for {awaited(case, a)[1]}."


def check_sync(case: Case) -> Iterator[Finding]:
    v = case.v
    if case.behind <= BEHIND_BLOCKS and not (case.behind > 0 and case.stalled):
        return
    if v.since_block_ms > SYNC_MS:
        doubted = (
            f" {names_of(v.doubted)} told of blocks and did not show them." if v.doubted else ""
        )
        yield Finding(
            "SYNC_STUCK",
            STOPPED,
            f"This node is {case.behind} blocks behind ({v.height} of {v.highest_told}) and has got"
            f" none for {age(v.since_block_ms)}.{doubted}",
            "See the log for 'blocks not fetched' and 'peer at fault'. If it names STORE_CORRUPT or"
            " DIVERGED, docs/operations.md has the remedy; removing votes/ is never part of it.",
            (v.name,),
        )
    else:
        yield Finding(
            "CATCHING_UP",
            DEGRADED,
            f"This node is {case.behind} blocks behind ({v.height} of {v.highest_told}) and fetches"
            " them; it votes when it is there.",
            "Wait.",
            (v.name,),
        )


def check_clocks(case: Case) -> Iterator[Finding]:
    """Rule 7. The median of all clocks heard, the own one among them, stands for the true time."""
    v = case.v
    readings = {one.name: one.clock_ms for one in case.others if one.clock_ms is not None}
    rule = f"rule 7: at most {case.drift_ms} ms (clock_drift_ms)"
    mend = "Mend the time service (chrony, ntpd). Don't raise clock_drift_ms instead."
    if not v.me:
        yield from _block_clock(case, rule, mend)
        return
    if len(readings) < 2:
        for name, ahead in readings.items():
            if abs(ahead) > case.drift_ms // 2:
                yield Finding(
                    "PEER_CLOCK_WRONG", DEGRADED,
                    f"{name}'s clock is {ahead_of(ahead)} this node's; which of the two is wrong"
                    " can't be told from here.",
                    mend, (name, v.name), rule,
                )  # fmt: skip
        return
    true = statistics.median_low([0, *readings.values()])
    offs = {v.me: -true} | {name: ahead - true for name, ahead in readings.items()}
    near = [name for name, off in offs.items() if abs(off) <= case.drift_ms]
    wrong = {name: off for name, off in offs.items() if abs(off) > case.drift_ms // 2}
    told = ", ".join(f"{name} {off / 1000:+.1f} s" for name, off in sorted(offs.items()))
    if len(offs) >= v.quorum and len(near) < v.quorum:
        yield Finding(
            "CLOCKS_DISAGREE",
            STOPPED if case.stalled else DEGRADED,
            f"Only {len(near)} of the {len(offs)} clocks heard agree within {case.drift_ms} ms, and"
            f" {v.quorum} votes are needed, so proposals are refused as too early or too late."
            f" From their median: {told}.",
            f"Have every operator compare with true time. {mend}",
            tuple(sorted(offs)),
            rule,
        )
    for name, off in sorted(wrong.items()):
        mine = name == v.me
        yield Finding(
            "CLOCK_WRONG" if mine else "PEER_CLOCK_WRONG",
            DEGRADED,
            f"{'This machine' if mine else name}'s clock is {ahead_of(off)} the median of"
            f" {len(offs)} validators' clocks. {_clock_costs(case, off)}",
            mend if mine else f"Tell {_organisation(case, name)}. {mend}",
            (name,),
            rule,
        )


def _clock_costs(case: Case, off: int) -> str:
    if abs(off) <= case.drift_ms:
        return f"Its proposals are refused once that is more than {case.drift_ms} ms."
    return (
        "Its proposals are refused, which costs a round each time; on others' it votes once"
        f" {case.v.witness} have."
    )


def _block_clock(case: Case, rule: str, mend: str) -> Iterator[Finding]:
    ahead = case.v.block_clock_ms
    behind_now = case.behind > 0 or case.v.since_block_ms > case.drift_ms + SETTLED_MS
    if ahead is None or (ahead < 0 and behind_now):
        return
    if abs(ahead) > case.drift_ms // 2 and (ahead > 0 or abs(ahead) < 3_600_000):
        yield Finding(
            "CLOCK_WRONG",
            DEGRADED,
            f"The newest blocks' times are {ahead_of(ahead)} this machine's clock.",
            mend,
            (case.v.name,),
            rule,
        )


def _organisation(case: Case, name: str) -> str:
    return next((one.organisation for one in case.v.members if one.name == name), name)
