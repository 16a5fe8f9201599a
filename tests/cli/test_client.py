import threading
from collections.abc import Iterator
from typing import Any

import pytest

from cli import client as client_module
from cli.client import (
    BadAnswer,
    Client,
    NodeUnreachable,
    Outcome,
    Refused,
    RequestFailed,
    TimedOut,
    make_transaction,
)
from consensus.primitives.crypto import public_key
from consensus.primitives.errors import TxRejected
from consensus.transaction import Call, Transaction
from tests.node.api_world import CHAIN_ID, MemoryNode, Running, running_node

SEED = bytes(range(32))
DEAD = "http://127.0.0.1:1"  # nothing listens on port 1


def tx(number: int = 0, **options: Any) -> Transaction:
    return make_transaction(SEED, CHAIN_ID, [("batch", "ship", {"number": number})], **options)


@pytest.fixture
def served() -> Iterator[Running]:
    with running_node() as running:
        yield running


@pytest.fixture
def client(served: Running) -> Iterator[Client]:
    with Client(served.url) as made:
        yield made


def test_make_transaction_signs_the_body() -> None:
    made = make_transaction(
        SEED, CHAIN_ID, [Call("a", "b", {"x": 1}), ("c", "d", {})], valid_until=77, steps_max=5
    )
    assert made.signature_valid()
    assert made.body.sender == public_key(SEED)
    assert (made.body.chain_id, made.body.valid_until, made.body.steps_max) == (CHAIN_ID, 77, 5)
    assert made.body.calls == (Call("a", "b", {"x": 1}), Call("c", "d", {}))
    assert tx().tx_id != tx().tx_id, "equal calls must make different transactions"
    assert tx(salt=bytes(16), valid_until=1).tx_id == tx(salt=bytes(16), valid_until=1).tx_id
    with pytest.raises(TxRejected, match="TX_TOO_LARGE"):
        make_transaction(SEED, CHAIN_ID, [("a", "b", {"x": bytes(70_000)})])


def test_submit_splits_what_one_request_cannot_hold(served: Running, client: Client) -> None:
    raws = [b"%d" % number for number in range(2300)]
    results = client.submit(raws)
    assert [result.code for result in results] == ["TX_MALFORMED"] * 2300
    assert [len(batch) for batch in served.node.submissions] == [1000, 1000, 300]
    assert [raw for batch in served.node.submissions for raw in batch] == raws
    served.node.submissions.clear()
    client.submit([bytes(60_000)] * 40)
    assert [len(batch) for batch in served.node.submissions] == [14, 14, 12]


def test_submit_and_wait_gives_outcomes_in_order(client: Client) -> None:
    first, second = tx(1), tx(2)
    forged = Transaction(tx(3).body_raw, bytes(64))
    outcomes = client.submit_and_wait([first, forged, second.raw])
    assert outcomes == [
        Outcome(first.tx_id, "committed", "OK", "", 1),
        Outcome(forged.tx_id, "refused", "TX_SIGNATURE", "the signature is wrong", None),
        Outcome(second.tx_id, "committed", "OK", "", 1),
    ]
    assert outcomes[0].require() is outcomes[0]
    with pytest.raises(Refused) as caught:
        outcomes[1].require()
    assert (caught.value.code, caught.value.outcome) == ("TX_SIGNATURE", outcomes[1])


def test_resubmitting_what_is_committed_finds_it(client: Client) -> None:
    again = tx()
    first = client.submit_and_wait([again])
    assert client.submit_and_wait([again]) == first
    assert client.wait([again.tx_id]) == first


def test_a_failed_transaction_is_committed_but_not_a_success(
    served: Running, client: Client
) -> None:
    served.node.failing_code = "BATCH_UNKNOWN"
    (outcome,) = client.submit_and_wait([tx()])
    assert (outcome.status, outcome.code, outcome.succeeded) == (
        "committed",
        "BATCH_UNKNOWN",
        False,
    )
    with pytest.raises(Refused) as caught:
        outcome.require()
    text = f"BATCH_UNKNOWN: transaction {outcome.tx_id.hex()} failed in block 1"
    assert str(caught.value) == text


def test_a_full_mempool_is_tried_again(served: Running, client: Client) -> None:
    served.node.full_times = 3
    (outcome,) = client.submit_and_wait([tx()])
    assert outcome.succeeded
    assert len(served.node.submissions) == 4


def test_what_is_not_committed_in_time_is_expired(served: Running, client: Client) -> None:
    node = served.node
    node.commit_on_submit = False
    late = tx(valid_until=node.time_ms + 1000)

    def forget_and_pass_time() -> None:
        node.waiting.clear()
        node.time_ms += 1001
        node.commit()

    timer = threading.Timer(0.3, lambda: served.call(forget_and_pass_time))
    timer.start()
    (outcome,) = client.submit_and_wait([late], timeout_s=20)
    timer.join()
    assert (outcome.status, outcome.code) == ("expired", "TX_EXPIRED")
    # Once the chain's time is past, it is told at once.
    assert client.submit_and_wait([late]) == [outcome]


def test_a_node_whose_clock_is_ahead_does_not_make_it_expired(
    served: Running, client: Client
) -> None:
    node = served.node
    edge = tx(valid_until=node.time_ms + 1000)
    served.call(node.commit)
    node.time_ms += 1001  # the clock by which it admits; a block of before is still under way

    def decide() -> None:
        node.time_ms -= 1001
        node.waiting[edge.tx_id] = edge.raw
        node.commit()

    timer = threading.Timer(0.5, lambda: served.call(decide))
    timer.start()
    (outcome,) = client.submit_and_wait([edge], timeout_s=20)
    timer.join()
    assert outcome.succeeded
    assert len(node.submissions) == 1


def test_a_node_that_forgot_gets_the_transaction_again(
    served: Running, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "RESUBMIT_S", 0.2)
    node = served.node
    node.commit_on_submit = False

    def forget() -> None:
        node.waiting.clear()
        node.commit_on_submit = True

    timer = threading.Timer(0.1, lambda: served.call(forget))
    timer.start()
    (outcome,) = client.submit_and_wait([tx()], timeout_s=20)
    timer.join()
    assert outcome.succeeded
    assert len(node.submissions) >= 2


def test_the_next_node_takes_over_when_one_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    stopping = MemoryNode(commit_on_submit=False)
    with running_node(stopping) as first, running_node() as second:
        timer = threading.Timer(0.3, first.stop)
        timer.start()
        with Client([DEAD, first.url, second.url]) as client:
            (outcome,) = client.submit_and_wait([tx()], timeout_s=20)
        timer.join()
        assert outcome.succeeded
        assert len(stopping.submissions) == 1
        assert len(second.node.submissions) == 1


def test_time_out_tells_what_is_known(served: Running, client: Client) -> None:
    good, stuck = tx(1), tx(2)
    client.submit_and_wait([good])
    served.node.commit_on_submit = False
    with pytest.raises(TimedOut) as caught:
        client.submit_and_wait([good, stuck], timeout_s=0.3)
    assert [outcome.tx_id for outcome in caught.value.outcomes] in ([], [good.tx_id])
    assert stuck.tx_id in caught.value.pending
    with pytest.raises(TimedOut) as caught:
        client.wait([good.tx_id, stuck.tx_id], timeout_s=0.3)
    assert [outcome.tx_id for outcome in caught.value.outcomes] == [good.tx_id]
    assert caught.value.pending == (stuck.tx_id,)
    assert caught.value.held_out == () and "TX_HELD_OUT" not in caught.value.message
    served.node.held_out[stuck.tx_id] = "TX_HELD_OUT"
    with pytest.raises(TimedOut, match=stuck.tx_id.hex()) as caught:
        client.wait([stuck.tx_id], timeout_s=0.3)
    assert caught.value.held_out == (stuck.tx_id,) and "TX_HELD_OUT" in caught.value.message
    with pytest.raises(TimedOut) as caught:
        client.submit_and_wait([stuck], timeout_s=0.3)
    assert caught.value.held_out == (stuck.tx_id,)


def test_wait_sees_a_commit_to_come(served: Running, client: Client) -> None:
    served.node.commit_on_submit = False
    late = tx()
    client.submit([late])
    assert client.tx_status(late.tx_id)["status"] == "pending"
    assert client.transaction_bytes(late.tx_id) == late.raw
    timer = threading.Timer(0.2, lambda: served.call(served.node.commit))
    timer.start()
    assert client.wait([late.tx_id], timeout_s=20) == [
        Outcome(late.tx_id, "committed", "OK", "", 1)
    ]
    timer.join()


def test_no_node_and_no_hansa_node() -> None:
    with Client(DEAD) as client:
        with pytest.raises(NodeUnreachable) as caught:
            client.node_status()
        assert caught.value.code == "NODE_UNREACHABLE"
        assert DEAD in caught.value.message
        with pytest.raises(TimedOut):
            client.submit_and_wait([tx()], timeout_s=0.2)
        with pytest.raises(NodeUnreachable):
            next(client.positions(5, patience_s=0.2))
    with running_node() as running, Client(running.url + "/elsewhere") as client:
        with pytest.raises(RequestFailed, match="NOT_FOUND"):
            client.node_status()
        monkey_status: dict[str, Any] = {"no": "height"}
        running.node.status = lambda: monkey_status  # type: ignore[method-assign]
    with running_node() as running, Client(running.url) as client:
        running.node.status = lambda: monkey_status  # type: ignore[method-assign]
        with pytest.raises(BadAnswer):
            client.submit_and_wait([tx()])


def test_bytes_that_are_no_transaction_are_found_before_sending(client: Client) -> None:
    with pytest.raises(TxRejected):
        client.submit_and_wait([b"junk"])


def test_reading(served: Running, client: Client) -> None:
    assert client.ready() is False
    served.call(served.node.commit)
    assert client.ready() is True
    answer = client.query("batch", "trace", {"id": b"\x01", "n": [1, None]})
    assert answer.height == 1
    assert answer.value == {
        "method": "trace",
        "args": {"id": b"\x01", "n": [1, None]},
        "raw": b"\xff",
    }
    assert client.block() == client.block(1) == {"height": 1}
    assert client.contracts() == {"batch": {"methods": {}}}
    assert client.genesis() == {"name": "test"}
    with pytest.raises(RequestFailed) as caught:
        client.block(9)
    assert (caught.value.code, caught.value.http_status) == ("BLOCK_NOT_FOUND", 404)
    with pytest.raises(RequestFailed, match="UNKNOWN_CONTRACT"):
        client.query("other", "trace")
    with pytest.raises(RequestFailed, match="BAD_NAME"):
        client.query("../status", "x")


def test_positions_and_events_resume_after_the_node_restarts() -> None:
    node = MemoryNode()
    with running_node(node) as running:
        with Client(running.url) as client:
            client.submit_and_wait([tx(1)])
            client.submit_and_wait([tx(2)])
            blocks = client.positions(1)
            assert [next(blocks).height for _ in range(2)] == [1, 2]
            events = client.events((1, 0, 0), contract="batch", name="shipped")
            first = next(events)
            assert (first.position, first.fields) == ((1, 0, 0), {"lot": b"\x01"})
        running.stop()
        # A second node of the same chain stands in for the restarted one.
        with (
            running_node(MemoryNode(node.blocks, node.event_records)) as other,
            Client([running.url, other.url]) as client,
        ):
            assert next(client.positions(2)).height == 2
            follow = client.events((1, 0, 1))
            assert next(follow).position == (2, 0, 0)
            client.submit_and_wait([tx(3)])
            assert next(follow).position == (3, 0, 0)


def test_a_stream_moves_on_to_the_next_node() -> None:
    node = MemoryNode()
    with (
        running_node(node) as first,
        running_node(MemoryNode(node.blocks)) as second,
        Client([first.url, second.url]) as client,
    ):
        first.call(node.commit)
        blocks = client.positions(1)
        assert next(blocks).height == 1
        first.stop()
        second.call(second.node.commit)
        assert next(blocks).height == 2


def test_unknown_contracts_end_an_event_stream(client: Client) -> None:
    with pytest.raises(RequestFailed, match="UNKNOWN_CONTRACT"):
        next(client.events((1, 0, 0), contract="none"))
