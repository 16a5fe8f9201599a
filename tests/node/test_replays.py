"""A transaction in the chain is always known again, and the store is hardly ever asked in vain."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.primitives.crypto import sha256
from node import replays
from node.replays import Replays

WINDOW_MS = 100


@given(st.lists(st.lists(st.integers(0, WINDOW_MS), max_size=6), max_size=30), st.integers(0, 29))
def test_known_for_as_long_as_it_may_be_valid(blocks: list[list[int]], restart: int) -> None:
    """Blocks every 10 ms of transactions that are valid for so long; a restart in between."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replays, "IDS_MAX", 7)
        stored: dict[bytes, int] = {}
        asked: list[bytes] = []

        def has(tx_id: bytes) -> bool:
            asked.append(tx_id)
            return tx_id in stored

        now_ms = 0
        known = Replays(has, -1)
        for number, valid_for in enumerate(blocks):
            now_ms += 10
            if number == restart:
                known = Replays(has, now_ms - 10 + WINDOW_MS)
            fresh = [
                (sha256(b"%d %d" % (number, at)), now_ms + one) for at, one in enumerate(valid_for)
            ]
            assert not any(known.has(tx_id) for tx_id, _ in fresh)
            stored |= dict(fresh)
            known.add(fresh, now_ms)
            for tx_id, valid_until in stored.items():
                if valid_until >= now_ms:
                    assert known.has(tx_id)
            assert len(known._filters) <= 2 + sum(map(len, blocks[-WINDOW_MS // 10 - 2 :])) // 7 + 1


def test_what_is_new_is_not_looked_up() -> None:
    asked: list[bytes] = []

    def has(tx_id: bytes) -> bool:
        asked.append(tx_id)
        return False

    known = Replays(has, -1)
    known.add([(sha256(b"%d" % number), 1) for number in range(50_000)], 0)
    assert not any(known.has(sha256(b"new %d" % number)) for number in range(5_000))
    assert len(asked) < 10
