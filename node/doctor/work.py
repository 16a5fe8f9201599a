"""Transactions that get nowhere, and what is worth knowing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from node.doctor.case import Case, age, names_of
from node.doctor.findings import DEGRADED, NOTICE, Finding

TXS_WAIT_MS: Final = 10_000
REFUSED_TXS: Final = 10
FAILED_PERCENT: Final = 50


def check_transactions(case: Case) -> Iterator[Finding]:
    v = case.v
    if v.held_out:
        yield Finding(
            "TXS_HELD_OUT", DEGRADED,
            f"{v.held_out} waiting transactions are held out: validators do not agree on their"
            " outcome.",
            "Bring all validators to one build, then have them handed in again:"
            " docs/operations.md, Validators disagree.", (v.name,), "rule 8",
        )  # fmt: skip
    if v.mempool_full:
        yield Finding(
            "MEMPOOL_FULL", DEGRADED,
            f"The mempool is full: {v.waiting_txs} transactions, {v.waiting_bytes >> 20} MiB. New"
            " ones are refused with MEMPOOL_FULL.",
            "Senders try again by themselves. If it stays so, more comes than the chain commits.",
            (v.name,),
        )  # fmt: skip
    elif v.oldest_ms is not None and v.oldest_ms > TXS_WAIT_MS and v.since_block_ms < v.oldest_ms:
        yield Finding(
            "TXS_WAIT", DEGRADED,
            f"{v.waiting_txs} transactions wait, the oldest for {age(v.oldest_ms)}, though blocks"
            f" come (the last {age(v.since_block_ms)} ago, {v.block_txs} transactions in"
            f" {v.blocks} blocks).",
            "If blocks are full, wait. If they are empty, this node's transactions do not reach the"
            " proposers, or a proposer leaves them out: run hansa doctor there.", (v.name,),
        )  # fmt: skip
    refused = sum(v.refused.values())
    if refused >= REFUSED_TXS:
        told = ", ".join(f"{count} {code}" for code, count in list(v.refused.items())[:3])
        yield Finding(
            "TXS_REFUSED", NOTICE,
            f"{refused} transactions handed in here in the last minutes were refused: {told}.",
            "See docs/errors.md for the codes; TX_EXPIRED and TX_TOO_FAR of all at once mean a"
            " wrong clock.", (v.name,),
        )  # fmt: skip
    if v.block_txs >= REFUSED_TXS and v.failed_txs * 100 >= v.block_txs * FAILED_PERCENT:
        yield Finding(
            "TXS_FAIL", NOTICE,
            f"{v.failed_txs} of the {v.block_txs} transactions in the newest {v.blocks} blocks"
            " failed: they stand in the chain and changed nothing.",
            "hansa block show lists them with their codes.", (v.name,),
        )  # fmt: skip


def check_notices(case: Case) -> Iterator[Finding]:
    v = case.v
    for one in case.others:
        if one.fault:
            yield Finding(
                "PEER_AT_FAULT", DEGRADED,
                f"{case.called(one)} was dropped lately for what it sent: {one.fault}.",
                f"Tell {one.organisation}: its release or its machine is not as it should be.",
                (one.name,),
            )  # fmt: skip
    if v.out_of_turn:
        yield Finding(
            "VALIDATORS_SKIPPED", NOTICE,
            f"{names_of(v.out_of_turn)} proposes no blocks for now, as the chain's record has it"
            " lately missing or slow; its votes count as ever.",
            "It is back in turn by itself some blocks after it keeps up again.", v.out_of_turn,
        )  # fmt: skip
    if v.others_missing:
        yield Finding(
            "PEERS_MISSING", NOTICE,
            f"{names_of(v.others_missing)} (no validators) are not connected.",
            "Blocks do not need them.", v.others_missing,
        )  # fmt: skip
    if v.changes_soon:
        yield Finding(
            "CHANGE_SOON", NOTICE,
            f"Decided proposals come into force within the next blocks:"
            f" {', '.join(map(str, v.changes_soon))}.",
            "hansa governance show N tells what changes.", (v.name,),
        )  # fmt: skip
