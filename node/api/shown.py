"""A block as the API shows it to people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from consensus.block import Block
from consensus.certificates import Certificate
from consensus.primitives.codec import data_to_json
from consensus.receipt import Receipt
from consensus.transaction import Transaction


def shown_block(
    block: Block,
    receipts: Sequence[Receipt],
    certificate: Certificate | None,
    sealed_by: Sequence[str],
) -> dict[str, Any]:
    """``receipts`` are those of the block's transactions in order, then of what was due."""
    txs = []
    for raw, receipt in zip(block.bodies, receipts, strict=False):
        tx = Transaction.parse(raw)
        txs.append(
            {
                "tx_id": tx.tx_id.hex(),
                "sender": tx.body.sender.hex(),
                "calls": [f"{call.contract}.{call.method}" for call in tx.body.calls],
                "code": receipt.code,
                "detail": receipt.detail,
                "steps_used": receipt.steps_used,
            }
        )
    return {
        "hash": block.hash.hex(),
        "header": block.header.to_json(),
        "round": None if certificate is None else certificate.round,
        "sealed_by": list(sealed_by),
        "evidence": [one.to_json() for one in block.evidence],
        "txs": txs,
        "due": [
            {
                "index": index,
                "code": receipt.code,
                "detail": receipt.detail,
                "steps_used": receipt.steps_used,
                "events": [f"{event.contract}.{event.name}" for event in receipt.events],
                "result": data_to_json(receipt.result),
            }
            for index, receipt in enumerate(receipts)
            if index >= len(block.bodies)
        ],
    }
