"""Votes of one height, counted by distinct sender, in bounded space.

A sender fills only its own place: of each kind the newest ``KEPT`` rounds are kept per sender, so a
liar that names far rounds pushes out nobody's votes but its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from consensus.messages import Commit, Prepare, Proposal, RoundChange, Vote

KEPT: Final = 4


class VoteBook:
    """The votes of one height."""

    def __init__(self) -> None:
        # kind -> sender -> round -> the first vote heard
        self._votes: dict[type[Vote], dict[bytes, dict[int, Vote]]] = {
            kind: {} for kind in (Proposal, Prepare, Commit, RoundChange)
        }

    def __len__(self) -> int:
        return sum(len(rounds) for kind in self._votes.values() for rounds in kind.values())

    def __iter__(self) -> Iterator[Vote]:
        """All votes, in the order in which tallies come upon them."""
        for kind in self._votes.values():
            for rounds in kind.values():
                yield from rounds.values()

    def find(self, kind: type[Vote], sender: bytes, round_: int) -> Vote | None:
        return self._votes[kind].get(sender, {}).get(round_)

    def by(self, sender: bytes) -> list[Vote]:
        """All that is kept of one sender."""
        return [vote for kind in self._votes.values() for vote in kind.get(sender, {}).values()]

    def add(self, vote: Vote) -> bool:
        """Keep a vote; False if it is too old to keep or its place is taken."""
        rounds = self._votes[type(vote)].setdefault(vote.sender, {})
        if vote.round in rounds:
            return False
        if len(rounds) == KEPT:
            oldest = min(rounds)
            if vote.round < oldest:
                return False
            del rounds[oldest]
        rounds[vote.round] = vote
        return True

    def replace(self, vote: Vote) -> None:
        """Put a vote in the place of one that says the same (a ROUND-CHANGE with its content)."""
        self._votes[type(vote)][vote.sender][vote.round] = vote

    def prepares(self, round_: int) -> dict[tuple[bytes, bytes], dict[bytes, bytes]]:
        """(content hash, block hash) -> sender -> signature."""
        tally: dict[tuple[bytes, bytes], dict[bytes, bytes]] = {}
        for sender, rounds in self._votes[Prepare].items():
            vote = rounds.get(round_)
            if isinstance(vote, Prepare):
                pair = (vote.content_hash, vote.block_hash)
                tally.setdefault(pair, {})[sender] = vote.signature
        return tally

    def commits(self) -> dict[tuple[int, bytes], dict[bytes, bytes]]:
        """(round, block hash) -> sender -> seal, over every round kept."""
        tally: dict[tuple[int, bytes], dict[bytes, bytes]] = {}
        for sender, rounds in self._votes[Commit].items():
            for round_, vote in rounds.items():
                if isinstance(vote, Commit):
                    tally.setdefault((round_, vote.block_hash), {})[sender] = vote.signature
        return tally

    def seals(self, block_hash: bytes) -> tuple[Commit, ...]:
        """The COMMITs for a block, in any round."""
        votes = (vote for rounds in self._votes[Commit].values() for vote in rounds.values())
        return tuple(
            vote for vote in votes if isinstance(vote, Commit) and vote.block_hash == block_hash
        )

    def round_changes(self, round_: int) -> list[RoundChange]:
        """Those for exactly this round."""
        found = (rounds.get(round_) for rounds in self._votes[RoundChange].values())
        return [vote for vote in found if isinstance(vote, RoundChange)]

    def rounds_reached(self) -> list[int]:
        """Each sender's highest ROUND-CHANGE round."""
        return [max(rounds) for rounds in self._votes[RoundChange].values()]
