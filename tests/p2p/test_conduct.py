"""Allowances and spaced lines, and for how long a guilty peer is cut off."""

from __future__ import annotations

from consensus.primitives.errors import PeerFault
from p2p.conduct import KEYS_MAX, Allowance, Spaced
from p2p.peers import BAR_MAX_S, BAR_S, FORGIVE_S, Peer, bar_s
from p2p.ports import PeerAddress
from tests.p2p.support import KEYS, Net, eventually


def test_an_allowance_fills_up_with_time() -> None:
    allowance: Allowance[str] = Allowance(10, 5)
    assert all(allowance.take("a", 1, 0) for _ in range(5))
    assert not allowance.take("a", 1, 0)
    assert allowance.take("b", 5, 0), "each has its own"
    assert allowance.retry_ms("a", 1) == 100
    assert not allowance.take("a", 1, 99)
    assert allowance.take("a", 1, 101)
    assert allowance.take("a", 5, 10_000) and not allowance.take("a", 1, 10_000), "never above"
    assert not allowance.take("b", 6, 1_000_000), "more than the burst is never allowed"


def test_allowances_remember_a_bounded_number() -> None:
    allowance: Allowance[int] = Allowance(1, 1)
    for key in range(KEYS_MAX + 100):
        assert allowance.take(key, 1, 0)
    assert len(allowance._left) == KEYS_MAX
    assert not allowance.take(KEYS_MAX + 99, 1, 0)


def test_repeated_lines_are_counted_not_written() -> None:
    lines: Spaced[str] = Spaced(1000)
    assert lines.turn("a", 50) == 0
    assert [lines.turn("a", now) for now in range(51, 1050)] == [None] * 999
    assert lines.turn("b", 60) == 0
    assert lines.turn("a", 1050) == 999
    assert lines.turn("a", 5000) == 0


def test_a_guilty_peer_is_cut_off_for_a_growing_time() -> None:
    peer = Peer(PeerAddress(KEYS[0], "mallory"))
    now = 1000.0
    for expected in (10, 20, 40, 80, 160, 320, 640, 640):
        peer.bar("BAD_VOTE", now)
        assert peer.barred_until - now == expected
        now = peer.barred_until
    assert (peer.faults, peer.fault) == (8, "BAD_VOTE")
    assert bar_s(10_000) == BAR_MAX_S


def test_what_is_found_while_it_is_barred_is_the_same_offence() -> None:
    peer = Peer(PeerAddress(KEYS[0], "mallory"))
    for _ in range(100):
        peer.bar("BAD_VOTE", 1000.0)
    assert (peer.faults, peer.barred_until) == (1, 1000.0 + BAR_S)


def test_faults_are_forgiven_in_time() -> None:
    peer = Peer(PeerAddress(KEYS[0], "mallory"))
    for _ in range(3):
        peer.bar("BAD_VOTE", peer.barred_until)
    later = peer.fault_at + 2 * FORGIVE_S
    peer.bar("BAD_VOTE", later)
    assert peer.barred_until - later == 2 * BAR_S, "two of three were forgiven"
    assert peer.faults == 4, "the count for operators forgets nothing"


async def test_an_accused_peer_is_dropped_barred_and_told_of(net: Net) -> None:
    first, second = await net.pair()
    first.accuse(KEYS[1], PeerFault("BAD_VOTE", "not its vote"))
    await net.handlers[0].until_counts(1, 1)
    assert net.handlers[0].faults == [(KEYS[1], "BAD_VOTE")]
    (report,) = first.peer_reports()
    assert (report["faults"], report["last_fault"]) == (1, "BAD_VOTE")
    assert 0 < report["barred_s"] <= BAR_S
    # What else is found after the connection's end lengthens nothing.
    first.accuse(KEYS[1], PeerFault("BAD_VOTE", "not its vote"))
    assert first.peer_reports()[0]["faults"] == 1
    await eventually(lambda: "BAD_VOTE" in str(second.peer_reports()[0]["last_error"]))
