"""What a header commits to, and the system values that are no contract's."""

from __future__ import annotations

import dataclasses

from consensus.block import Block, Content, Header
from consensus.params import Params
from consensus.primitives import merkle
from consensus.primitives.codec import encode
from consensus.primitives.crypto import sha256
from consensus.primitives.keys import encode_key
from consensus.receipt import Event, Receipt
from consensus.rules import (
    LongestWindow,
    event_leaves,
    evidence_key,
    is_whole,
    left_key,
    longest_window_after,
    make_header,
    system_state,
)
from consensus.turns import Turns
from consensus.validators import Validator, ValidatorSet
from tests.vectors.samples import CHAIN_ID, samples


def consortium(count: int) -> ValidatorSet:
    return ValidatorSet(
        tuple(Validator(f"v{n}", sha256(bytes([n])), "9520123000004") for n in range(count))
    )


def header_of(content: Content, receipts: tuple[Receipt, ...] = ()) -> Header:
    return make_header(
        content,
        chain_id=CHAIN_ID,
        receipts=receipts,
        state_root=sha256(b"state"),
        validators=consortium(4),
        next_validators=consortium(5),
        params=Params(),
        contracts_hash=sha256(b"contracts"),
        history_root=sha256(b"history"),
    )


def receipt_of(*events: Event) -> Receipt:
    return Receipt(sha256(b"tx"), "OK", "", 7, events, None)


def test_what_stands_in_a_header() -> None:
    content = samples()["Content"]
    assert isinstance(content, Content) and content.last_certificate is not None
    receipts = (receipt_of(), receipt_of(Event("batch", "shipped", {"n": 3})))
    assert header_of(content, receipts) == Header(
        version=1,
        chain_id=CHAIN_ID,
        height=content.height,
        parent=content.parent,
        time_ms=content.time_ms,
        proposer=content.proposer,
        tx_root=merkle.root(content.wire_ids),
        receipt_root=merkle.root([receipt.raw for receipt in receipts]),
        event_root=merkle.root([encode([1, ["batch", "shipped", {"n": 3}]])]),
        state_root=sha256(b"state"),
        validators_hash=consortium(4).digest,
        next_validators_hash=consortium(5).digest,
        params_hash=Params().digest,
        contracts_hash=sha256(b"contracts"),
        evidence_root=merkle.root([one.raw for one in content.evidence]),
        last_certificate_hash=content.last_certificate.digest,
        history_root=sha256(b"history"),
    )


def test_a_header_commits_to_every_part_of_its_block() -> None:
    block = samples()["Block"]
    assert isinstance(block, Block)
    block = dataclasses.replace(block, header=header_of(block.content))
    assert is_whole(block)
    assert block.bodies and block.evidence and block.last_certificate
    for changed in ({"bodies": ()}, {"evidence": ()}, {"last_certificate": None}):
        assert not is_whole(dataclasses.replace(block, **changed))


def test_each_event_is_bound_to_its_transaction_and_place() -> None:
    one, other = Event("batch", "shipped", {}), Event("batch", "received", {})
    leaves = event_leaves((receipt_of(one, other), receipt_of(), receipt_of(one)))
    assert leaves == [
        encode([at, event.to_plain()]) for at, event in ((0, one), (0, other), (2, one))
    ]
    assert event_leaves((receipt_of(other, one),)) != leaves[:2]


def test_where_the_state_remembers_evidence_and_who_left() -> None:
    key = sha256(b"a")
    assert evidence_key(key) == encode_key("consensus", "evidence", (key,))
    assert left_key(key) == encode_key("consensus", "left", (key,))
    assert system_state(consortium(4)) == {
        encode_key("consensus", "validators", ()): consortium(4).raw,
        encode_key("consensus", "turns", ()): Turns().raw,
    }


def test_a_shorter_window_notes_the_longer_one() -> None:
    assert longest_window_after(None, 1_000, 600, 600) is None
    assert longest_window_after(None, 1_000, 600, 900) is None
    first = longest_window_after(None, 1_000, 600, 60)
    assert first == LongestWindow(600, 1_600)
    # Shorter still, while transactions of the longest may be valid, and after.
    assert longest_window_after(first, 1_600, 60, 10) == LongestWindow(600, 2_200)
    assert longest_window_after(first, 1_601, 60, 10) == LongestWindow(60, 1_661)
    assert longest_window_after(first, 1_100, 60, 60) is None
