"""Usage: what is counted, when a quota stops whom, and where a period ends."""

from __future__ import annotations

from typing import Any

import pytest

from consensus.receipt import Receipt
from consensus.transaction import Call, Transaction
from contracts.runtime.package import package_of
from contracts.system.usage import DAY_MS
from tests.contracts.ledger import MAKER, WHOLESALER, seed_of
from tests.contracts.test_governance import ELECTORS, FIRST, Council

OBSERVE = Call("batch", "observe", {"items": [{"item": "00/095213210000000179"}]})  # UNKNOWN_ITEM
LOT = "01/09521321000018/10/A"
COMMISSION = Call("batch", "commission", {"items": [{"item": LOT, "quantity": {"amount": 1}}]})


@pytest.fixture
def council() -> Council:
    return Council(ELECTORS[:4])


def used(council: Council, organisation: str = MAKER) -> tuple[int, int, int, int]:
    """(steps, bytes, calls, transactions) of the present period."""
    row = council.query("used_by", "usage", organisation=organisation)
    assert row["organisation"] == organisation
    return row["steps"], row["bytes"], row["calls"], row["transactions"]


def limit(council: Council, **quota: int) -> None:
    council.decide(council.propose("quota", organisation=MAKER, **quota))
    council.pass_blocks()


def send(council: Council, *calls: Call) -> tuple[Transaction, Receipt]:
    """One block of one transaction of the maker."""
    tx = council.tx(seed_of(MAKER), *calls)
    return tx, council.block(tx)[0]


def start_of_next_period(council: Council) -> None:
    """Block time moves on; the next block is the first of a new period."""
    report = council.query("report", "usage")
    council.time_ms = report["until_ms"] - 1_000


# --- counting --------------------------------------------------------------------------------


def test_steps_bytes_calls_and_transactions_are_counted(council: Council) -> None:
    assert used(council) == (0, 0, 0, 0)
    first, receipt = send(council, COMMISSION, COMMISSION)
    assert receipt.code == "OK"
    size = len(first.body_raw)
    assert used(council) == (receipt.steps_used, size, 2, 1)
    second, more = send(council, COMMISSION)
    size += len(second.body_raw)
    assert used(council) == (receipt.steps_used + more.steps_used, size, 3, 2)
    assert used(council, WHOLESALER) == (0, 0, 0, 0)


def test_a_failed_transaction_is_charged_in_full(council: Council) -> None:
    tx, receipt = send(council, COMMISSION, OBSERVE)
    assert receipt.code == "UNKNOWN_ITEM"
    assert used(council) == (receipt.steps_used, len(tx.body_raw), 2, 1)
    tx = council.tx(seed_of(MAKER), COMMISSION, steps_max=5_000)
    assert council.block(tx)[0].code == "OUT_OF_STEPS"
    assert used(council)[0] == receipt.steps_used + 5_000


def test_all_transactions_of_a_block_are_counted(council: Council) -> None:
    txs = [council.tx(seed_of(MAKER), COMMISSION) for _ in range(3)]
    txs.append(council.tx(seed_of(WHOLESALER), OBSERVE))
    receipts = council.block(*txs)
    assert used(council)[0] == sum(receipt.steps_used for receipt in receipts[:3])
    assert used(council)[2:] == (3, 3)
    assert used(council, WHOLESALER)[2:] == (1, 1)


def test_who_belongs_to_no_organisation_is_not_counted(council: Council) -> None:
    assert council.block(council.tx(b"?" * 32, OBSERVE))[0].code == "SENDER_UNKNOWN"
    assert [row["organisation"] for row in council.query("report", "usage")["organisations"]] == []


def test_the_report_has_every_organisation_that_used_the_chain(council: Council) -> None:
    send(council, COMMISSION)
    council.propose("params", changes={"min_block_interval_ms": 200})
    report = council.query("report", "usage")
    rows = {row["organisation"]: row for row in report["organisations"]}
    assert set(rows) == {MAKER, FIRST}
    assert rows[MAKER]["transactions"] == 1
    assert report["until_ms"] - report["from_ms"] == DAY_MS
    assert report["from_ms"] <= council.time_ms < report["until_ms"]


# --- quotas ----------------------------------------------------------------------------------


def test_nobody_sets_a_quota_but_by_vote(council: Council) -> None:
    quota = {"organisation": MAKER, "steps": 0, "bytes": 0, "calls": 256}
    for organisation in (MAKER, FIRST):
        council.refused("NOT_AUTHORISED", organisation, "set_quota", "usage", **quota)
        period = {"period_ms": 60_000}
        council.refused("NOT_AUTHORISED", organisation, "set_period", "usage", **period)
    unlimited = {"steps": 0, "bytes": 0, "calls": 0}
    assert council.query("quota", "usage", organisation=MAKER) == unlimited


def test_the_call_that_would_pass_a_quota_is_not_executed(council: Council) -> None:
    limit(council, calls=256)
    assert send(council, *[COMMISSION] * 200)[1].code == "OK"
    lots = council.query("item", item=LOT)
    _, receipt = send(council, *[COMMISSION] * 57)
    assert (receipt.code, receipt.steps_used, receipt.events) == ("QUOTA_EXCEEDED", 0, ())
    assert council.query("item", item=LOT) == lots
    # Its bytes and calls are counted, and others are not stopped.
    assert used(council)[2:] == (257, 2)
    assert send(council, COMMISSION)[1].code == "QUOTA_EXCEEDED"
    assert council.send(WHOLESALER, "observe", items=[]).code == "BAD_ARGUMENT"


def test_up_to_the_quota_everything_is_executed(council: Council) -> None:
    limit(council, calls=256)
    assert send(council, *[COMMISSION] * 255)[1].code == "OK"
    assert send(council, COMMISSION)[1].code == "OK"
    assert used(council)[2] == 256
    assert send(council, COMMISSION)[1].code == "QUOTA_EXCEEDED"


def test_a_quota_holds_within_a_block_too(council: Council) -> None:
    limit(council, calls=256)
    txs = [council.tx(seed_of(MAKER), *[COMMISSION] * 100) for _ in range(3)]
    codes = [receipt.code for receipt in council.block(*txs)]
    assert codes == ["OK", "OK", "QUOTA_EXCEEDED"]


def test_a_transaction_that_begins_below_a_quota_of_steps_ends(council: Council) -> None:
    limit(council, steps=1_000_000)
    steps = 0
    while steps < 1_000_000:
        receipt = send(council, *[COMMISSION] * 30)[1]
        assert receipt.code == "OK"
        steps += receipt.steps_used
    assert used(council)[0] == steps
    assert send(council, COMMISSION)[1].code == "QUOTA_EXCEEDED"


def test_a_quota_of_bytes(council: Council) -> None:
    limit(council, bytes=65_536)
    sent = 0
    while True:
        tx, receipt = send(council, *[COMMISSION] * 100)
        sent += len(tx.body_raw)
        if receipt.code != "OK":
            break
    assert receipt.code == "QUOTA_EXCEEDED"
    assert sent - len(tx.body_raw) <= 65_536 < sent
    assert used(council)[1] == sent


# --- periods ---------------------------------------------------------------------------------


def test_usage_never_falls_within_a_period_and_begins_anew_with_the_next(
    council: Council,
) -> None:
    before = used(council)
    for _ in range(5):
        send(council, COMMISSION)
        now = used(council)
        assert all(new > old for new, old in zip(now, before, strict=True))
        before = now
    start_of_next_period(council)
    assert used(council) == before  # the last millisecond but a thousand of the old one
    council.block()
    assert council.time_ms % DAY_MS == 0
    assert used(council) == (0, 0, 0, 0)
    tx, receipt = send(council, COMMISSION)
    assert used(council) == (receipt.steps_used, len(tx.body_raw), 1, 1)


def test_the_last_block_of_a_period_counts_to_it_and_the_first_of_the_next_not(
    council: Council,
) -> None:
    limit(council, calls=256)
    assert send(council, *[COMMISSION] * 256)[1].code == "OK"
    report = council.query("report", "usage")
    council.time_ms = report["until_ms"] - 1_001  # the next block is the period's last ms
    assert send(council, COMMISSION)[1].code == "QUOTA_EXCEEDED"
    assert council.time_ms == report["until_ms"] - 1
    council.time_ms = report["until_ms"] - 1_000  # the next block is the new period's first ms
    assert send(council, COMMISSION)[1].code == "OK"
    assert used(council)[2:] == (1, 1)


def test_periods_have_the_length_that_was_voted(council: Council) -> None:
    send(council, COMMISSION)
    council.decide(council.propose("usage_period", period_ms=60_000))
    council.pass_blocks()
    report = council.query("report", "usage")
    assert report["until_ms"] - report["from_ms"] == 60_000
    assert report["from_ms"] % 60_000 == 0
    send(council, COMMISSION)
    assert used(council)[2:] == (1, 1)
    for wrong in (0, 59_999, 367 * DAY_MS):
        args: dict[str, Any] = {"period_ms": wrong}
        council.refused("BAD_ARGUMENT", FIRST, "propose_usage_period", "governance", **args)


LOOP = """
from contracts.sdk import Contract, call, timed


class Loop(Contract):
    name = "loop"

    @call
    def start(self) -> None:
        self.due(0, "again")

    @timed
    def again(self) -> None:
        total = 0
        for number in range(40_000):
            total += number
        self.due(0, "again")
"""


def test_what_renews_itself_ends_with_the_quota() -> None:
    council = Council(ELECTORS[:4], "byzantine", package_of([("loop.py", LOOP)]))
    council.ok(MAKER, "start", "loop")
    quota = {"organisation": MAKER, "steps": 1_500_000, "bytes": 0, "calls": 0}
    council.decide(council.propose("quota", **quota))
    codes = []
    for _ in range(5):
        council.block()
        codes += [one.code for one in council.due_receipts if one.result[0] == "loop"]
    assert codes[-1] == "QUOTA_EXCEEDED"
    council.block()
    assert council.due_receipts == []
