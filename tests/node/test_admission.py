"""The door to the mempool: each refusal with its code, for clients and for peers."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from consensus.params import Params
from consensus.primitives.crypto import TAG_TRANSACTION, sha256, sign
from consensus.primitives.errors import PeerFault
from consensus.transaction import TRANSACTION_BYTES_MAX, Transaction
from node.admission import ENDED_KEPT, RETRY_LATEST_MS, Admission, Admitted, Appointments, Ended
from node.mempool import RETRY_AFTER_MS, Mempool
from node.workers import InlineVerifier
from tests.node.support import ADMIN, FixedClock, OneChain
from tests.sim.world import EPOCH_MS

PARAMS = Params(tx_steps_max=2_000_000, tx_bytes_max=2_000, block_bytes_max=4_000)


class Door:
    """An admission on a chain of its own."""

    def __init__(self, txs_max: int = 100) -> None:
        self.one = OneChain(PARAMS)
        self.mempool = Mempool(txs_max=txs_max)
        self.clock = FixedClock()
        self.admission = Admission(self.one.chain, self.mempool, self.clock, InlineVerifier())

    async def admit(self, *raws: bytes) -> list[Admitted]:
        return await self.admission.admit(list(raws), own=True)

    async def code(self, raw: bytes) -> str:
        (answer,) = await self.admit(raw)
        return answer.code


def _long(raw: bytes) -> bytes:
    """The same transaction with its outer array's size in a longer form than needed."""
    assert raw[0] == 0x92
    return b"\xdc\x00\x02" + raw[1:]


def _refusable() -> list[tuple[str, bytes]]:
    one = OneChain(PARAMS)
    good = one.transaction()
    window = PARAMS.tx_window_ms + PARAMS.clock_drift_ms
    return [
        ("TX_MALFORMED", b""),
        ("TX_MALFORMED", b"\x00"),
        ("TX_MALFORMED", good.raw[:-1]),
        ("TX_MALFORMED", good.raw + b"\x00"),
        ("TX_MALFORMED", b"\xff" * 200),
        ("TX_TOO_LARGE", bytes(TRANSACTION_BYTES_MAX + 1)),
        ("TX_TOO_LARGE", one.transaction(label="x" * 3_000).raw),
        ("TX_NOT_CANONICAL", _long(good.raw)),
        ("TX_SIGNATURE", Transaction(good.body_raw, bytes(64)).raw),
        ("TX_SIGNATURE", Transaction(good.body_raw, sign(sha256(b""), b"x", b"")).raw),
        ("TX_SIGNATURE", Transaction(good.body_raw, sign(ADMIN, b"other tag", good.body_raw)).raw),
        ("TX_EXPIRED", one.transaction(valid_until=EPOCH_MS - 1).raw),
        ("TX_TOO_FAR", one.transaction(valid_until=EPOCH_MS + window + 1).raw),
        ("TX_WRONG_CHAIN", one.transaction(chain_id=sha256(b"another")).raw),
        ("TX_STEPS", one.transaction(steps_max=0).raw),
        ("TX_STEPS", one.transaction(steps_max=2_000_001).raw),
    ]


@pytest.mark.parametrize(("code", "raw"), _refusable())
async def test_each_refusal_has_its_code_and_leaves_nothing(code: str, raw: bytes) -> None:
    door = Door()
    (answer,) = await door.admit(raw)
    assert answer.code == code
    assert not answer.accepted and answer.entry is None and answer.message
    assert len(door.mempool) == 0


async def test_the_bounds_themselves_are_admitted() -> None:
    door = Door()
    window = PARAMS.tx_window_ms + PARAMS.clock_drift_ms
    for raw in (
        door.one.transaction(valid_until=EPOCH_MS).raw,
        door.one.transaction(valid_until=EPOCH_MS + window).raw,
        door.one.transaction(steps_max=2_000_000).raw,
        door.one.transaction(steps_max=1).raw,
    ):
        assert await door.code(raw) == "ACCEPTED"


async def test_one_bad_transaction_spoils_no_other_and_order_is_kept() -> None:
    door = Door()
    good = [door.one.transaction() for _ in range(3)]
    bad = Transaction(door.one.transaction().body_raw, bytes(64))
    answers = await door.admit(good[0].raw, b"?", good[1].raw, bad.raw, good[2].raw)
    assert [answer.code for answer in answers] == [
        "ACCEPTED", "TX_MALFORMED", "ACCEPTED", "TX_SIGNATURE", "ACCEPTED",
    ]  # fmt: skip
    assert [entry.tx for entry in door.mempool.newest_first()] == good[::-1]


async def test_duplicates_are_accepted_once() -> None:
    door = Door()
    tx = door.one.transaction()
    first, second = await door.admit(tx.raw, tx.raw)
    assert (first.code, second.code) == ("ACCEPTED", "ALREADY_PENDING")
    assert second.accepted and second.entry is None
    assert await door.code(tx.raw) == "ALREADY_PENDING"
    # The same body under another signature is the same transaction to its sender.
    again = Transaction(tx.body_raw, bytes(64))
    assert await door.code(again.raw) == "ALREADY_PENDING"
    await door.one.block([tx])
    door.mempool.remove_committed([tx.tx_id])
    (answer,) = await door.admit(tx.raw)
    assert answer.code == "ALREADY_COMMITTED" and answer.accepted
    assert len(door.mempool) == 0


async def test_a_block_that_comes_while_signatures_are_checked_is_seen() -> None:
    door = Door()
    tx = door.one.transaction()

    class Slow(InlineVerifier):
        async def verify(self, items: Sequence[tuple[bytes, bytes, bytes, bytes]]) -> list[bool]:
            await door.one.block([tx])
            return await super().verify(items)

    admission = Admission(door.one.chain, door.mempool, door.clock, Slow())
    (answer,) = await admission.admit([tx.raw], own=True)
    assert answer.code == "ALREADY_COMMITTED"
    assert len(door.mempool) == 0


async def test_a_full_mempool_says_when_to_try_again_and_then_takes_it() -> None:
    door = Door(txs_max=2)
    txs = [door.one.transaction() for _ in range(3)]
    answers = await door.admit(*[tx.raw for tx in txs])
    assert [answer.code for answer in answers] == ["ACCEPTED", "ACCEPTED", "MEMPOOL_FULL"]
    assert answers[2].retry_after_ms == RETRY_AFTER_MS
    assert door.admission.ended.get(txs[2].tx_id) is None, "that was no end"
    door.mempool.remove_committed([txs[0].tx_id])
    assert await door.code(txs[2].raw) == "ACCEPTED"


async def test_how_own_transactions_ended_is_remembered() -> None:
    door = Door()
    tx = door.one.transaction(valid_until=EPOCH_MS - 1)
    await door.admit(tx.raw)
    assert (door.admission.ended.get(tx.tx_id) or ("",))[0] == "TX_EXPIRED"
    forged = Transaction(door.one.transaction().body_raw, bytes(64))
    await door.admit(forged.raw)
    # Anybody can put a wrong signature under somebody else's body: that ends nothing.
    assert door.admission.ended.get(forged.tx_id) is None


def test_memory_of_ends_is_bounded() -> None:
    ended = Ended()
    for number in range(ENDED_KEPT + 10):
        ended.add(number.to_bytes(32, "big"), "TX_EXPIRED", "")
    assert ended.get((9).to_bytes(32, "big")) is None
    assert ended.get((10).to_bytes(32, "big")) is not None


@pytest.mark.parametrize(("code", "raw"), _refusable())
async def test_peers_are_at_fault_for_what_every_honest_node_refuses(code: str, raw: bytes) -> None:
    """Form and signature; but time and limits may look different from there."""
    door = Door()
    hostile = code in ("TX_MALFORMED", "TX_NOT_CANONICAL", "TX_SIGNATURE", "TX_TOO_LARGE")
    if hostile:
        with pytest.raises(PeerFault) as caught:
            await door.admission.admit([raw], own=False)
        assert caught.value.code == "TX_INVALID"
    else:
        (answer,) = await door.admission.admit([raw], own=False)
        assert answer.code == code
    assert len(door.mempool) == 0


async def test_a_full_mempool_is_nobody_s_fault() -> None:
    door = Door(txs_max=1)
    txs = [door.one.transaction().raw for _ in range(2)]
    answers = await door.admission.admit(txs, own=False)
    assert [answer.code for answer in answers] == ["ACCEPTED", "MEMPOOL_FULL"]


async def test_the_signature_covers_the_tag() -> None:
    """A signature made for another purpose under the same bytes is none."""
    door = Door()
    tx = door.one.transaction()
    assert tx.signature == sign(ADMIN, TAG_TRANSACTION, tx.body_raw)
    assert await door.code(tx.raw) == "ACCEPTED"


async def test_who_is_refused_by_a_hurried_mempool_comes_back_by_appointment() -> None:
    """Nothing of theirs is parsed, what peers pass on is taken, and what waits already is known."""
    door = Door()
    waiting = door.one.transaction().raw
    await door.admit(waiting)
    hurried = [True]
    door.mempool.hurried = lambda now_ms: hurried[0]  # type: ignore[method-assign]
    answers = await door.admit(waiting, *[b"not even one"] * 1_000)
    assert [answer.code for answer in answers] == ["ALREADY_PENDING"] + ["MEMPOOL_FULL"] * 1_000
    told = [answer.retry_after_ms for answer in answers[1:]]
    assert told == list(range(RETRY_AFTER_MS, RETRY_AFTER_MS + 1_000))
    (answer,) = await door.admission.admit([door.one.transaction().raw], own=False)
    assert answer.code == "ACCEPTED"
    hurried[0] = False
    assert await door.code(door.one.transaction().raw) == "ACCEPTED"


def test_appointments_have_an_end_and_time_makes_room() -> None:
    appointments = Appointments()
    told = [appointments.after_ms(0) for _ in range(100_000)]
    assert told == sorted(told) and told[-1] == RETRY_LATEST_MS
    assert appointments.after_ms(RETRY_LATEST_MS - 1_000) == 1_001
    assert appointments.after_ms(2 * RETRY_LATEST_MS) == RETRY_AFTER_MS
