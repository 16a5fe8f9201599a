"""Four validators and a full node as real processes: killed under load, restarted, counted."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from cli.client import Client, Outcome
from consensus.primitives.crypto import sha256
from consensus.transaction import Transaction
from tests.e2e.conftest import Tell
from tests.e2e.support import PARAMS, PATIENCE_S, Devnet, devnet, until

pytestmark = pytest.mark.e2e

BATCH = 20


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    with devnet(tmp_path_factory.mktemp("network") / "net") as running:
        yield running


class Load(threading.Thread):
    """Clients' work while nodes come and go: transactions of every fate, handed in until each has
    one, by a client that knows all nodes."""

    def __init__(self, net: Devnet, first: int) -> None:
        super().__init__()
        self.net = net
        self.number = first
        self.outcomes: dict[bytes, Outcome] = {}
        self.submitted: dict[bytes, str] = {}
        self.enough = threading.Event()
        self.failure: BaseException | None = None

    def _batch(self) -> list[Transaction]:
        """Mostly good ones; some that may not or must not be committed."""
        net, first = self.net, self.number
        self.number += BATCH
        txs = {number: net.transaction(number) for number in range(first, first + BATCH - 5)}
        kinds = dict.fromkeys(txs, "good")
        at = first + BATCH - 5
        txs[at], kinds[at] = net.transaction(at, valid_for_ms=400), "short-lived"
        txs[at + 1], kinds[at + 1] = net.transaction(at + 1, valid_for_ms=-5_000), "expired"
        unsigned = net.transaction(at + 2)
        forged = Transaction(unsigned.body_raw, unsigned.signature[:32] + bytes(32))
        txs[at + 2], kinds[at + 2] = forged, "wrongly signed"
        txs[at + 3] = net.transaction(at + 3, chain_id=sha256(b"another chain"))
        kinds[at + 3] = "wrong chain"
        txs[at + 4] = net.transaction(at + 4, valid_for_ms=3_600_000)
        kinds[at + 4] = "too far ahead"
        for number, tx in txs.items():
            self.submitted[tx.tx_id] = kinds[number]
        return list(txs.values())

    def run(self) -> None:
        try:
            self._run()
        except BaseException as error:  # told by the test's own thread
            self.failure = error

    def _run(self) -> None:
        urls = self.net.network.urls()
        turn = 0
        with Client(urls, timeout_s=5) as client:
            while not self.enough.is_set():
                txs = self._batch()
                turn += 1
                # The same bytes at another node too, as from a client that got no answer.
                with Client([*urls[turn % 5 :], *urls[: turn % 5]], timeout_s=5) as other:
                    other.submit_and_wait(txs[:5], timeout_s=PATIENCE_S)
                for outcome in client.submit_and_wait(txs, timeout_s=PATIENCE_S):
                    self.outcomes[outcome.tx_id] = outcome


def _check(net: Devnet, load: Load) -> str:
    """Each transaction reported committed stands exactly once in every chain, no other does.
    Returns the counts, for people."""
    standing: Counter[str] = Counter()
    for block in net.equal_chains():
        standing.update(tx["tx_id"] for tx in block["txs"])
    assert load.outcomes.keys() == load.submitted.keys()
    counts: Counter[tuple[str, str, str]] = Counter()
    for tx_id, outcome in load.outcomes.items():
        kind = load.submitted[tx_id]
        counts[kind, outcome.status, outcome.code] += 1
        assert standing[tx_id.hex()] == (outcome.status == "committed"), (kind, outcome)
        if outcome.status != "committed":
            assert outcome.code.startswith("TX_")
        if kind == "good":
            assert outcome.status == "committed" and outcome.code == "OK", outcome
        elif kind != "short-lived":
            assert outcome.status != "committed", (kind, outcome)
    lines = [f"{len(load.submitted)} transactions over {net.level()} blocks on 5 nodes:"]
    for (kind, status, code), count in sorted(counts.items()):
        lines.append(f"  {count:5} {kind:15} {status:10} {code}")
    return "\n".join(lines)


def _under_load(net: Devnet, first: int) -> Load:
    load = Load(net, first)
    load.start()
    return load


def _end(load: Load) -> None:
    load.enough.set()
    load.join(PATIENCE_S * 3)
    assert not load.is_alive()
    if load.failure is not None:
        raise load.failure


def test_one_killed_under_load(net: Devnet, tell: Tell) -> None:
    """Blocks go on without it; restarted, it has the same chain and state root."""
    victim, watched = net.nodes[1], net.nodes[0]
    load = _under_load(net, 1_000)
    until(lambda: bool(load.outcomes), "the first transactions committed")
    net.kill(victim)
    known = len(load.outcomes)
    net.advance(watched, 5)
    until(lambda: len(load.outcomes) > known, "transactions committed without it")
    net.start(victim)
    _end(load)
    net.network.wait_ready([victim])
    tell(_check(net, load))
    roots = {net.chain(node, net.level())[-1]["header"]["state_root"] for node in net.nodes}
    assert len(roots) == 1


def test_two_killed_stop_the_chain(net: Devnet) -> None:
    """No quorum, no blocks; with them back, what was handed in meanwhile is committed."""
    first, second = net.nodes[1], net.nodes[2]
    net.kill(first, second)
    until(lambda: net.status(net.nodes[0])["agreement"]["round"] >= 1, "a round without quorum")
    height = net.height(net.nodes[0])
    tx = net.transaction(2_000)
    with Client([net.nodes[0].url, net.nodes[3].url]) as client:
        (accepted,) = client.submit([tx])
        assert accepted.accepted
        # A working network would have made a block with it many times over.
        watched_until = time.monotonic() + 3 * PARAMS.round_timeout_ms / 1000
        while time.monotonic() < watched_until:
            assert net.height(net.nodes[0]) == net.height(net.nodes[3]) == height
            time.sleep(0.2)
        assert client.tx_status(tx.tx_id)["status"] == "pending"
        net.start(first, second)
        (outcome,) = client.wait([tx.tx_id], timeout_s=PATIENCE_S)
    assert outcome.succeeded
    assert outcome.height is not None and outcome.height > height
    net.equal_chains()


def test_kills_and_resubmission(net: Devnet, tell: Tell) -> None:
    """Whatever dies, every transaction ends once and in the same way for everybody."""
    load = _under_load(net, 10_000)
    for number in (3, 0, 4, 2, 1):
        victim = net.nodes[number]
        until(lambda: bool(load.outcomes), "the load began")
        net.kill(victim)
        witness = next(node for node in net.nodes if node != victim)
        net.advance(witness, 3)
        net.start(victim)
        goal = net.height(witness)
        until(lambda: net.height(victim) >= goal, f"{victim.name} caught up")  # noqa: B023
    _end(load)
    assert len(load.submitted) >= 200, "the load was too light to tell anything"
    tell(_check(net, load))


def test_a_full_node_started_late_catches_up(net: Devnet, tell: Tell) -> None:
    """With an empty store it fetches, checks and executes the whole chain."""
    late = net.nodes[4]
    net.network.stop([late])
    chain = net.network.folder / late.name / "chain"
    for file in sorted(chain.iterdir()):
        file.unlink()
    goal = net.height(net.nodes[0])
    began = time.monotonic()
    net.start(late)
    net.network.wait_ready([late])
    until(lambda: net.height(late) >= goal, f"height {goal}")
    tell(f"{goal} blocks fetched and executed in {time.monotonic() - began:.1f} s")
    net.equal_chains()
    tx = net.transaction(3_000)
    with Client(late.url) as client:
        (outcome,) = client.submit_and_wait([tx], timeout_s=PATIENCE_S)
    assert outcome.succeeded
