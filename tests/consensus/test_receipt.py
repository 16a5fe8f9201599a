"""Receipts: what came of a transaction, and the bytes that the receipt root holds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from consensus.primitives.codec import encode
from consensus.receipt import OK, Event, Receipt
from tests.vectors.samples import samples

RECEIPT: Any = samples()["Receipt"]


def test_ok_alone_is_success() -> None:
    assert RECEIPT.code == OK and RECEIPT.succeeded
    assert not replace(RECEIPT, code="INSUFFICIENT", events=(), result=None).succeeded
    assert not replace(RECEIPT, code="ok").succeeded


def test_a_receipt_s_bytes_are_those_of_its_fields_in_order() -> None:
    for receipt in (RECEIPT, replace(RECEIPT, events=(*RECEIPT.events, Event("c", "E", {"a": 1})))):
        assert receipt.raw == encode(receipt.to_plain())
        assert Receipt.decode(receipt.raw) == receipt
