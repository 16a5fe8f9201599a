"""One machine on the bench: validator 0 of n, the others' votes made by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from consensus.block import Content
from consensus.certificates import PreparedCertificate
from consensus.messages import UNSIGNED, Commit, Prepare, Proposal, RoundChange, Vote
from consensus.params import Params
from consensus.pbft import inputs, machine, outputs
from consensus.pbft.inputs import NewHeight, Now, OwnVotes
from consensus.pbft.state import State
from tests.consensus.pbft.world import (
    CHAIN,
    EPOCH_MS,
    FAST,
    GENESIS,
    outcome_of,
    signed,
    validator_set,
)

V = TypeVar("V", bound=Vote)
O = TypeVar("O")  # noqa: E741


class Bench:
    """Height 1; round r is proposed by validator ``first`` + r. Own votes are signed at once."""

    def __init__(
        self,
        n: int = 4,
        *,
        first: int = 1,
        own: OwnVotes | None = None,
        params: Params = FAST,
        me: bool = True,
    ) -> None:
        self.validators = validator_set(n)
        self.keys = [member.key for member in self.validators.members]
        self.now = Now(EPOCH_MS, 0)
        self.state: State | None = None
        self.out: list[outputs.Output] = []
        self.context = NewHeight(
            CHAIN,
            1,
            GENESIS,
            EPOCH_MS - 1_000,
            self.validators,
            self.validators,
            params,
            tuple((first + i) % n for i in range(n)),
            self.keys[0] if me else None,
            own or OwnVotes(),
        )
        self.put(self.context)

    # --- driving

    def put(self, event: inputs.Input) -> list[outputs.Output]:
        """One input and the Signed answers that it brings about; returns all outputs."""
        self.state, out = machine.apply(self.state, event, self.now)
        made = list(out)
        for output in out:
            if isinstance(output, outputs.Sign):
                assert output.vote.signature == UNSIGNED
                made += self.put(inputs.Signed(signed(output.vote, 0)))
        self.out += out
        return made

    def hear(self, *votes: Vote) -> list[outputs.Output]:
        return [output for vote in votes for output in self.put(inputs.Received(vote))]

    def executed(self, content: Content, block_hash: bytes | None = None) -> list[outputs.Output]:
        return self.put(inputs.Executed(content.digest, block_hash or outcome_of(content)))

    def wait(self, duration_ms: int) -> list[outputs.Output]:
        """Let time pass as an engine would: a Tick whenever the machine wants one."""
        made: list[outputs.Output] = []
        stop = self.now.mono_ms + duration_ms
        assert self.state is not None
        while (moment := max(machine.wake_at(self.state), self.now.mono_ms)) <= stop:
            self.now = Now(EPOCH_MS + moment, moment)
            made += self.put(inputs.Tick(self.state.work_since_ms))
            assert machine.wake_at(self.state) > moment
        self.now = Now(EPOCH_MS + stop, stop)
        return made

    @property
    def s(self) -> State:
        assert self.state is not None
        return self.state

    def asked(self, kind: type[V]) -> list[V]:
        """The votes of a kind that the machine wanted signed so far."""
        found = [output.vote for output in self.out if isinstance(output, outputs.Sign)]
        return [vote for vote in found if isinstance(vote, kind)]

    def made(self, kind: type[O]) -> list[O]:
        return [output for output in self.out if isinstance(output, kind)]

    # --- others' votes

    def content(self, proposer: int = 1, extra_ms: int = 0, txs: int = 0) -> Content:
        wire_ids = tuple(bytes([i // 256, i % 256]) * 16 for i in range(txs))
        return Content(1, GENESIS, EPOCH_MS + extra_ms, self.keys[proposer], wire_ids, (), None)

    def proposal(
        self,
        content: Content,
        by: int = 1,
        round_: int = 0,
        changes: Iterable[RoundChange] = (),
    ) -> Proposal:
        plain = tuple(change.without_content() for change in changes)
        vote = Proposal(1, round_, content, (), plain, self.keys[by], bytes(64))
        found = signed(vote, by)
        assert isinstance(found, Proposal)
        return found

    def prepare(
        self, content: Content, by: int, round_: int = 0, outcome: bytes | None = None
    ) -> Prepare:
        block_hash = outcome or outcome_of(content)
        vote = Prepare(1, round_, content.digest, block_hash, self.keys[by], bytes(64))
        found = signed(vote, by)
        assert isinstance(found, Prepare)
        return found

    def commit(self, content: Content, by: int, round_: int = 0) -> Commit:
        found = signed(Commit(1, round_, outcome_of(content), self.keys[by], bytes(64)), by)
        assert isinstance(found, Commit)
        return found

    def prepared(self, content: Content, round_: int, by: Iterable[int]) -> PreparedCertificate:
        votes = {self.keys[i]: self.prepare(content, i, round_).signature for i in by}
        return PreparedCertificate.build(
            round_, content.digest, outcome_of(content), votes, self.validators
        )

    def change(
        self,
        by: int,
        round_: int,
        prepared: PreparedCertificate | None = None,
        content: Content | None = None,
        committed: int | None = None,
    ) -> RoundChange:
        vote = RoundChange(1, round_, prepared, committed, content, self.keys[by], bytes(64))
        found = signed(vote, by)
        assert isinstance(found, RoundChange)
        return found


def differing_changes(bench: Bench) -> tuple[Content, list[RoundChange]]:
    """ROUND-CHANGEs for round 2: one prepared a content in round 0, one another in round 1."""
    old, new = bench.content(1), bench.content(2, extra_ms=5)
    return new, [
        bench.change(1, 2, bench.prepared(old, 0, (1, 2, 3)), old),
        bench.change(2, 2, bench.prepared(new, 1, (0, 2, 3)), new),
        bench.change(3, 2),
    ]
