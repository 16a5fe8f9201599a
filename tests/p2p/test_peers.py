from __future__ import annotations

import random

from p2p.peers import (
    BACKOFF_JITTER,
    BACKOFF_MAX_S,
    BAR_S,
    STEADY_S,
    UNLISTED_REPORTS_MAX,
    Peer,
    PeerBook,
)
from p2p.ports import PeerAddress

OWN = bytes(32)
ONE = b"\x01" * 32
TWO = b"\x02" * 32


def book(*, accept_unlisted: bool = False) -> PeerBook:
    entries = [PeerAddress(key, "x", ("host:1",)) for key in (TWO, ONE, OWN)]
    made = PeerBook(OWN, accept_unlisted)
    made.admit(entries)
    return made


def test_own_entry_is_left_out_and_the_rest_is_in_order() -> None:
    assert [peer.key for peer in book().all()] == [ONE, TWO]


def test_admission() -> None:
    closed, opened = book(), book(accept_unlisted=True)
    stranger = b"\x09" * 32
    assert closed.admits(ONE, 0)
    assert not closed.admits(stranger, 0)
    assert not closed.admits(OWN, 0)
    assert opened.admits(stranger, 0)
    assert not opened.admits(OWN, 0)
    closed.met(ONE).bar("BAD_VOTE", 100)
    assert not closed.admits(ONE, 100 + BAR_S - 0.1)
    assert closed.admits(ONE, 100 + BAR_S)


def test_strangers_are_forgotten_in_turn() -> None:
    opened = book(accept_unlisted=True)
    for number in range(UNLISTED_REPORTS_MAX + 50):
        opened.met(number.to_bytes(32, "little"))
    assert len(opened.all()) <= UNLISTED_REPORTS_MAX + 2
    assert opened.get(ONE) is not None


def test_backoff_doubles_to_its_cap() -> None:
    peer = Peer(PeerAddress(ONE, "one"))
    rng = random.Random(1)
    for nominal in (0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0):
        peer.failed("no")
        delay = peer.retry_delay_s(rng)
        assert nominal * (1 - BACKOFF_JITTER) <= delay <= nominal * (1 + BACKOFF_JITTER)
    peer.failures = 10_000
    assert peer.retry_delay_s(rng) <= BACKOFF_MAX_S * (1 + BACKOFF_JITTER)


def test_only_a_steady_connection_wipes_out_failures() -> None:
    peer = Peer(PeerAddress(ONE, "one"))
    peer.failures = 4
    peer.connected("host:1", 100)
    peer.disconnected("gone", 100 + STEADY_S / 2)
    assert peer.failures == 5
    peer.connected("host:1", 200)
    peer.disconnected("gone", 200 + STEADY_S)
    assert peer.failures == 0
    assert peer.last_error == "gone"
