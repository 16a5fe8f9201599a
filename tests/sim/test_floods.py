"""An admitted peer that sends at full rate what is of no use, or asks without end: honest nodes go
on committing and cut it off, or tell it to wait."""

from __future__ import annotations

from typing import Final

import pytest
import trio
from structlog.testing import capture_logs

from consensus.messages import UNSIGNED, Commit
from consensus.primitives.crypto import sha256
from node.node import FAULT_LINE_MS
from p2p import gossip
from p2p.ports import Channel
from tests.sim.liars import Lie, make_liar
from tests.sim.lies_flooding import secret_transaction
from tests.sim.oracle import Oracle
from tests.sim.quick import quickly
from tests.sim.test_liars import CALM, PARAMS, shown_faults, under_load
from tests.sim.world import World, run_world

HONEST = ["v0", "v2", "v3"]


class Useless(Lie):
    """One transaction, two thousand times a message: expired, or waiting and then committed."""

    faults = frozenset({"TXS_USELESS"})
    AT_ONCE: Final = 2_000

    def __init__(self, valid_for_ms: int) -> None:
        super().__init__()
        self.valid_for_ms = valid_for_ms
        self._payload = b""

    def tick(self) -> None:
        if not self._payload:
            tx = secret_transaction(self.liar, valid_for_ms=self.valid_for_ms)
            self._payload = gossip.frame(gossip.TXS, [tx.raw] * self.AT_ONCE)
        for peer in self.liar.peers:
            for _ in range(4):
                self.liar.network.send(peer, Channel.TRANSACTIONS, self._payload)


class VoteFlood(Lie):
    """Votes of heights far away by nobody in particular: nothing can be said against each."""

    faults = frozenset({"PEER_FLOOD"})

    def __init__(self) -> None:
        super().__init__()
        self._next = 10**6

    def tick(self) -> None:
        for _ in range(600):
            self._next += 1
            self.liar.say(Commit(self._next, 0, bytes(32), sha256(b"nobody"), UNSIGNED))


class OldBlocks(Lie):
    """Yesterday's blocks, again and again."""

    faults = frozenset({"PEER_FLOOD"})

    def tick(self) -> None:
        raw = self.liar.node.chain.blocks.sealed_raw(1)
        for peer in self.liar.peers if raw is not None else ():
            for _ in range(300):
                self.liar.network.send(peer, Channel.CHAIN, b"\x02" + (raw or b""))


LIES = {
    "expired transactions": lambda: Useless(-5_000),
    "one transaction again": lambda: Useless(60_000),
    "votes of far heights": VoteFlood,
    "old blocks": OldBlocks,
}


@pytest.mark.parametrize("name", sorted(LIES))
def test_a_flood_of_what_is_useless(name: str) -> None:
    lie: Lie = LIES[name]()
    lines: list[tuple[int, str]] = []

    async def scenario(world: World) -> None:
        oracle = Oracle(world)
        liar = make_liar(world, "v1", lie)
        world.start_all()
        with capture_logs() as log:
            start = trio.current_time()
            await under_load(world, HONEST, 5)
            lasted_s = trio.current_time() - start
        oracle.finish()
        world.check_agreement()
        shown = set[str]().union(*(shown_faults(world, one, liar) for one in HONEST))
        assert shown & lie.faults, shown
        said = [line for line in log if line["event"] == "peer at fault"]
        windows = 1 + int(lasted_s * 1000 // FAULT_LINE_MS)
        lines.append((len(said), name))
        assert 0 < len(said) <= len(HONEST) * windows

    with quickly():
        run_world(1, scenario, PARAMS, conditions=CALM)
    assert lines


def test_who_asks_without_end_is_told_to_wait() -> None:
    answers: list[str] = []

    async def scenario(world: World) -> None:
        world.start_all()
        await trio.sleep(2)
        asker, asked = world.node("v1"), world.machines["v0"].network_key
        for _ in range(1_200):
            try:
                await world.node("v0").on_request(
                    world.machines["v1"].network_key, b"\x01\x92\x01\x01"
                )
            except Exception as error:
                answers.append(str(error))
        assert asked in asker.network.connected(), "it is told to wait, not cut off"

    with quickly():
        run_world(1, scenario, PARAMS, conditions=CALM)
    assert 100 <= len(answers) <= 200
    assert all("PEER_BUSY" in one for one in answers)
