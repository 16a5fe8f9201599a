"""A replayed flight recording in people's words: one line an input, one row a height."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from cli.output import short, when
from consensus.messages import Commit, Prepare, Proposal, RoundChange, Vote
from consensus.pbft import outputs as out
from consensus.pbft.inputs import Built, Connected, Executed, NewHeight, Received, Signed, Tick
from consensus.pbft.state import State
from node.flight import Step

KINDS: Final = {
    Proposal: "PROPOSAL",
    Prepare: "PREPARE",
    Commit: "COMMIT",
    RoundChange: "ROUND-CHANGE",
}
MARKS_MAX: Final = 1000


def _who(state: State | None, key: bytes) -> str:
    if state is not None:
        for one in (state.context.validators, state.context.parent_validators):
            if key in one:
                return one.name(key)
    return short(key.hex())


def _vote(vote: Vote) -> str:
    where = f"{KINDS[type(vote)]} {vote.height}/{vote.round}"
    if isinstance(vote, Proposal):
        content = vote.content
        return f"{where}, {len(content.wire_ids)} txs, content {short(content.digest.hex())}"
    if isinstance(vote, Prepare | Commit):
        return f"{where} for block {short(vote.block_hash.hex())}"
    assert isinstance(vote, RoundChange)
    return where if vote.prepared is None else f"{where}, prepared in round {vote.prepared.round}"


def _input(step: Step) -> str:
    event, state = step.entry.event, step.state
    if isinstance(event, NewHeight):
        role = "looks on" if event.me is None else f"votes as {_who(state, event.me)}"
        return f"height {event.height} begins on block {short(event.parent.hex())}, {role}"
    if isinstance(event, Received):
        return f"heard {_vote(event.vote)} of {_who(state, event.vote.sender)}"
    if isinstance(event, Signed):
        return f"own {_vote(event.vote)} is on disk"
    if isinstance(event, Built):
        return f"built a content of {len(event.content.wire_ids)} txs for round {event.round}"
    if isinstance(event, Executed):
        name = short(event.content_hash.hex())
        if event.block_hash is None:
            return f"content {name} is refused: {event.problem}"
        return f"executed content {name}: block {short(event.block_hash.hex())}"
    if isinstance(event, Connected):
        return f"connected to {_who(state, event.peer)}"
    assert isinstance(event, Tick)
    return "time" if event.work_since_ms is None else "time, with transactions waiting"


def _output(output: out.Output, state: State | None) -> str:
    if isinstance(output, out.Sign):
        return f"sign {_vote(output.vote)}"
    if isinstance(output, out.Broadcast):
        to = "all" if output.peer is None else _who(state, output.peer)
        return f"send {len(output.votes)} own votes again to {to}"
    if isinstance(output, out.Build):
        return f"build a content for round {output.round}"
    if isinstance(output, out.Execute):
        return f"execute content {short(output.content.digest.hex())}"
    if isinstance(output, out.Decided):
        certificate = output.certificate
        return (
            f"DECIDED block {short(certificate.block_hash.hex())} at {certificate.height}"
            f" in round {certificate.round} by {len(certificate.seals)} seals"
        )
    if isinstance(output, out.AnswerDecided):
        return f"send {_who(state, output.peer)} block {output.height}, long decided"
    if isinstance(output, out.SplitVote):
        return f"SPLIT VOTE over content {short(output.content.digest.hex())}"
    if isinstance(output, out.Diverged):
        return f"DIVERGED in round {output.round}: a quorum has block {short(output.quorums.hex())}"
    if isinstance(output, out.Caught):
        return f"CAUGHT {_who(state, output.evidence.sender)} contradicting itself"
    return f"enter round {output.round}"


def line_of(step: Step) -> str:
    """``number  time  what came in -> what was done``."""
    wall_ms = step.entry.now.wall_ms
    done = "; ".join(_output(one, step.state) for one in step.outputs)
    text = f"{step.number:>7}  {when(wall_ms)[11:]}.{wall_ms % 1000:03}  {_input(step)}"
    if done:
        text += f" -> {done}"
    if step.fault:
        text += f" -> FAULT {step.fault.lstrip('!')}"
    return "\n".join([text, *(f"         !! {problem}" for problem in step.problems)])


@dataclass
class Height:
    """What came of one height."""

    height: int
    began_ms: int
    ended_ms: int
    inputs: int = 0
    heard: dict[str, set[bytes]] = field(default_factory=dict)
    round: int = 0
    decided: int | None = None
    txs: int | None = None
    signed: int = 0


class Summary:
    """All heights of a replay, and what stands out in it."""

    def __init__(self) -> None:
        self.heights: list[Height] = []
        self.marks: list[str] = []
        self.names: dict[bytes, str] = {}
        self.me: bytes | None = None

    def add(self, step: Step) -> None:
        state, event, now = step.state, step.entry.event, step.entry.now.wall_ms
        if state is not None:
            height = state.context.height
            if not self.heights or self.heights[-1].height != height:
                self.heights.append(Height(height, now, now))
                self.names |= {one.key: one.name for one in state.context.validators.members}
            self.me = state.context.me
            here = self.heights[-1]
            here.ended_ms, here.inputs = now, here.inputs + 1
            here.round = max(here.round, state.round)
            if isinstance(event, Received) and not step.fault and event.vote.height == height:
                here.heard.setdefault(KINDS[type(event.vote)], set()).add(event.vote.sender)
            for one in step.outputs:
                if isinstance(one, out.Sign):
                    here.signed += 1
                elif isinstance(one, out.Decided):
                    here.decided = one.certificate.round
                    here.txs = None if one.content is None else len(one.content.wire_ids)
        loud = (out.RoundEntered, out.Caught, out.SplitVote, out.Diverged)
        loudly = step.fault or step.problems or any(isinstance(one, loud) for one in step.outputs)
        if loudly and len(self.marks) < MARKS_MAX:
            self.marks.append(line_of(step))

    def rows(self) -> list[list[Any]]:
        """For a table under ``HEADERS``."""
        return [
            [
                one.height,
                when(one.began_ms),
                one.ended_ms - one.began_ms,
                one.inputs,
                one.round,
                "no" if one.decided is None else f"in round {one.decided}",
                "" if one.txs is None else one.txs,
                *(len(one.heard.get(kind, ())) for kind in KINDS.values()),
                one.signed,
                self._silent(one),
            ]
            for one in self.heights
        ]

    def _silent(self, height: Height) -> str:
        """Other validators of whom nothing was heard."""
        heard = set().union(*height.heard.values()) if height.heard else set()
        return ", ".join(name for key, name in self.names.items() if key not in heard | {self.me})


HEADERS: Final = (
    "height", "began", "ms", "inputs", "round", "decided", "txs",
    "proposals", "prepares", "commits", "changes", "signed", "not heard",
)  # fmt: skip
