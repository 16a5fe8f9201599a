"""Trouble of this node itself: admission, keys, the signer's memory, the disk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from node.doctor.case import Case, names_of
from node.doctor.findings import DEGRADED, NOTICE, STOPPED, Finding
from node.vitals import Asking, Disk, Vitals

DISK_LOW_BYTES: Final = 1 << 30
DISK_STOPS_BYTES: Final = 64 << 20
DISK_SLOW_MS: Final = 100


def check_admission(case: Case) -> Iterator[Finding]:
    v = case.v
    if not v.admitted:
        yield Finding(
            "NOT_ADMITTED",
            STOPPED,
            f"The chain's record of nodes at height {v.height} does not have this node's network"
            f" key {v.network_key}, so every peer closes its connections without a word.",
            "Have the validators' organisations admit it: hansa governance add-node. If it was"
            " removed by vote, that is what they decided. Don't copy another node's network key.",
            (v.name,),
        )
    other_chain = [(name, error) for name, error in v.peers_refusing if "another genesis" in error]
    if other_chain:
        everybody = len(other_chain) >= max(1, len(case.others) - v.witness + 1)
        error = other_chain[0][1]
        yield Finding(
            "CHAIN_DIFFERS" if everybody else "PEER_CHAIN_DIFFERS",
            STOPPED if everybody else DEGRADED,
            f"{names_of(name for name, _ in other_chain)} and this node have different genesis"
            f' documents and refuse each other: "{error}". This chain is {v.chain_id[:16]}..',
            "Compare genesis.json with the other operators, by the chain id that hansa genesis"
            " show prints. The node with the wrong one needs the consortium's document and an"
            " empty chain/; never its old votes/ for another chain.",
            tuple(name for name, _ in other_chain),
        )
    refusing = [one for one in v.peers_refusing if one not in other_chain]
    if refusing:
        error = refusing[0][1]
        yield Finding(
            "PEER_REFUSED",
            DEGRADED,
            f'{names_of(name for name, _ in refusing)} and this node refuse each other: "{error}".',
            "Compare the releases (hansa status shows the version) and both nodes' logs.",
            tuple(name for name, _ in refusing),
        )


def check_keys(case: Case) -> Iterator[Finding]:
    v = case.v
    if v.me and not v.keys:
        yield Finding(
            "KEY_ABSENT",
            DEGRADED,
            f"By the chain's record this node is the validator {v.me}, but it runs without a"
            " consensus key, so its vote is missing.",
            'Set [node] role = "validator" and put its keys/consensus.key.json and votes/ back,'
            " from this machine's own disk. Never take votes/ from a backup or another machine.",
            (v.me,),
        )
    elif v.me and not v.key_in_force:
        yield Finding(
            "KEY_NOT_IN_FORCE",
            DEGRADED,
            f"By the chain's record this node is the validator {v.me}, but with another consensus"
            " key than it holds, so its vote is missing.",
            "If the key was rotated, start the node with the new key and its own vote log"
            " (hansa node rotate made both). Else have the validators vote on the key that it has.",
            (v.me,),
        )
    elif v.keys and not v.me and v.admitted:
        yield Finding(
            "KEY_WITHOUT_VOTE",
            NOTICE,
            f"This node holds a consensus key, but has no vote at height {v.height + 1}: it follows"
            " as a full node.",
            "To make it a validator: hansa governance add-validator. Nothing is to be done if it"
            " was removed on purpose.",
            (v.name,),
        )


def check_memory(case: Case) -> Iterator[Finding]:
    """Rule 9: a validator without its vote log."""
    v = case.v
    if not v.me or v.votes or not v.keys or not v.key_in_force:
        return
    never = (
        "Never copy a vote log from a backup or another machine: that is how a validator signs"
        " twice."
    )
    shown = "showed an own" in v.memory_lost
    if shown:
        yield Finding(
            "OWN_VOTE_SHOWN",
            STOPPED if case.stalled else DEGRADED,
            f"{v.me} stopped voting: {v.memory_lost}. Its vote log is older than its votes, or"
            f" another machine votes with its key. {_memory_comes_back(v)}",
            "First make sure that no other machine runs with this consensus key. Then leave this"
            f" one alone: it votes again by itself. {never}",
            (v.me,),
            "rule 9",
        )
    if v.recovery is not None:
        askable = [one for one in case.others if one.connected]
        yield Finding(
            "ANSWERS_WAIT",
            STOPPED if len(askable) < v.recovery.needed else DEGRADED,
            f"{v.me} has no vote log that can be trusted ({v.memory_lost}) and asks the others"
            f" what it may have signed. {_memory_comes_back(v)}"
            + "".join(f" {case.why_away(one)}." for one in case.away),
            "Start or reconnect the validators that are missing; it goes on by itself."
            f" {never} --vote-from is for the case that more than {v.validators - v.quorum}"
            " validators lost their logs: docs/operations.md.",
            (v.me,),
            "rule 9",
        )
    elif v.log_check is not None:
        askable = [one for one in case.others if one.connected]
        yield Finding(
            "LOG_CHECK_WAITS",
            STOPPED if len(askable) < v.log_check.needed else DEGRADED,
            f"{v.me} does not vote yet: it compares its vote log with the votes that the others"
            f" hold. {_answers(v.log_check)}"
            + "".join(f" {case.why_away(one)}." for one in case.away),
            "It takes a moment where the others can be asked; start or reconnect those that are"
            f" missing. {never}",
            (v.me,),
            "rule 9",
        )
    elif v.votes_from is not None:
        text = f"{v.me} votes again from height {v.votes_from} on; {v.height + 1} is being decided."
        if v.memory_lost:
            text += f" Its vote log was lost ({v.memory_lost})."
        many = (
            "If so many validators wait like this that the others are no quorum, the chain can't"
            " get there by itself: follow docs/operations.md, More than f validators lost their"
            " vote logs, to the letter."
        )
        yield Finding(
            "VOTES_LATER",
            STOPPED if case.stalled else DEGRADED,
            text,
            f"{many if case.stalled else 'Wait: it votes again by itself.'} {never}",
            (v.me,),
            "rule 9",
        )


def _memory_comes_back(v: Vitals) -> str:
    if v.recovery is not None:
        return _answers(v.recovery)
    if v.votes_from is not None:
        return f"It votes again from height {v.votes_from} on."
    return ""


def _answers(asking: Asking) -> str:
    told = f" ({names_of(asking.answered)})" if asking.answered else ""
    return f"{len(asking.answered)} of the {asking.needed} answers that it needs are there{told}."


def check_contradictions(case: Case) -> Iterator[Finding]:
    for one in case.v.members:
        if one.contradicted and one.me:
            yield Finding(
                "KEY_USED_TWICE",
                STOPPED,
                f"Two contradicting votes carry {one.name}'s signature: another machine votes with"
                " this validator's consensus key, or its vote log was replaced by an older one.",
                "Find the other machine and stop it for good. Rotate the key: hansa node rotate,"
                " hansa governance rotate-validator.",
                (one.name,),
                "rule 10",
            )
        elif one.contradicted:
            yield Finding(
                "VALIDATOR_CONTRADICTS",
                DEGRADED,
                f"{case.called(one)} signed two votes that contradict each other; the second does"
                " not count, and the evidence goes into a block.",
                f"Tell {one.organisation}: two machines with one key, a vote log from a backup, or"
                " worse. hansa governance accusations shows the record.",
                (one.name,),
                "rule 10",
            )


def disk_finding(name: str, disk: Disk, *, runs: bool) -> Finding | None:
    """Of a disk that has little room left."""
    if disk.free_bytes >= DISK_LOW_BYTES:
        return None
    soon = disk.free_bytes < DISK_STOPS_BYTES
    room = f"{_size(disk.free_bytes)} of {_size(disk.total_bytes)} are free"
    return Finding(
        "DISK_FULL_SOON" if soon else "DISK_LOW",
        DEGRADED if runs or not soon else STOPPED,
        f"The disk under {name}'s data folder is {'all but' if soon else 'nearly'} full: {room}."
        + (" A write that fails ends the node with DISK_FULL." if runs else " It does not run."),
        "Make room, logs first, and start it if it does not run. Don't remove anything in votes/,"
        " keys/ or chain/.",
        (name,),
    )


def _size(count: int) -> str:
    return f"{count >> 20} MiB" if count < 10 << 30 else f"{count >> 30} GiB"


def check_disk(case: Case) -> Iterator[Finding]:
    v = case.v
    if v.disk is not None and (low := disk_finding(v.name, v.disk, runs=True)) is not None:
        yield low
    if max(v.log_ms or 0, v.store_ms or 0) >= DISK_SLOW_MS:
        yield Finding(
            "DISK_SLOW",
            DEGRADED,
            f"This node's disk is slow: a vote takes {v.log_ms or 0} ms to be on disk, a block"
            f" {v.store_ms or 0} ms (medians of the newest {v.blocks}). A block waits for three"
            f" votes one after the other, and a round ends after {case.timeout_ms} ms.",
            "Look for what else writes to this disk, and at its health. Don't put votes/ on a"
            " memory disk: a vote must survive a power cut.",
            (v.name,),
            "rule 9",
        )
