"""Clients' work while nodes come and go, and the count of what became of it."""

from __future__ import annotations

import threading
from collections import Counter

from cli.client import Client, Outcome
from consensus.primitives.crypto import sha256
from consensus.transaction import Transaction
from tests.e2e.support import PATIENCE_S, Devnet

BATCH = 20


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


def check(net: Devnet, load: Load) -> str:
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
    lines = [
        f"{len(load.submitted)} transactions over {net.level()} blocks on {len(net.nodes)} nodes:"
    ]
    for (kind, status, code), count in sorted(counts.items()):
        lines.append(f"  {count:5} {kind:15} {status:10} {code}")
    return "\n".join(lines)


def under_load(net: Devnet, first: int) -> Load:
    load = Load(net, first)
    load.start()
    return load


def end(load: Load) -> None:
    load.enough.set()
    load.join(PATIENCE_S * 3)
    assert not load.is_alive()
    if load.failure is not None:
        raise load.failure
