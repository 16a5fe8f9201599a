"""Byzantine validators: complete nodes whose words to the others are bent on their way out.

The node behind a liar is an honest one, so a liar knows all that a validator can know and holds its
key; what it says is up to its ``lies`` (``tests.sim.lies``). It never notices itself: an own vote
that its log lacks doesn't stop it. ``make_liar`` before the machine starts; it stays one through
crashes. ``random_liar`` draws one from a seed.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from consensus.messages import Vote, decode_vote, encode_vote
from consensus.pbft.state import State
from consensus.primitives.crypto import public_key, sign
from consensus.primitives.errors import PeerFault
from node.node import Node
from p2p.ports import Channel, Handler, Network, PeerAddress
from tests.sim.world import Join, Machine, World, seed_of

TICK_S = 0.25

V = TypeVar("V", bound=Vote)


class Lie:
    """One way to lie. The hooks of an honest validator change nothing.

    ``faults`` are the codes of which at least one costs the liar its link to honest nodes;
    ``evidence`` the kinds of which at least one comes to stand in a block. Empty: nothing
    proves it.
    """

    faults: frozenset[str] = frozenset()
    evidence: frozenset[int] = frozenset()

    def __init__(self) -> None:
        self.liar: Liar

    def votes(self, peer: bytes, vote: Vote) -> Iterable[Vote]:
        """What is sent to a peer in the place of an own vote."""
        return (vote,)

    def message(self, peer: bytes, channel: Channel, payload: bytes) -> Iterable[bytes]:
        """What is sent to a peer in the place of a message of the other channels."""
        return (payload,)

    def answer(self, peer: bytes, question: bytes, answer: bytes) -> bytes:
        """What is answered to a request in the place of the honest answer."""
        return answer

    def heard(self, peer: bytes, vote: Vote) -> None:
        """A peer's vote has come, before the node behind sees it."""

    def tick(self) -> None:
        """Four times a second."""


class Liar:
    """One validator's lying network end, between its node and the virtual network."""

    def __init__(self, world: World, machine: Machine, lies: Sequence[Lie], seed: object) -> None:
        self.world = world
        self.machine = machine
        self.lies = tuple(lies)
        self.rng = random.Random(f"hansa liar {seed}")
        self.seed = seed_of(f"{machine.identity} {machine.seed_kind}")
        self.key = public_key(self.seed)
        self.chain_id = world.document.chain_id
        for lie in lies:
            lie.liar = self

    def join(self, handler: Handler, plug_in: Join) -> Network:
        """At each start of the machine."""
        assert isinstance(handler, Node)
        self.node = handler
        self.network = plug_in(_Ears(self, handler))
        self.world.network.later(TICK_S, lambda: self._tick(handler))
        return _Mouth(self, self.network)

    def _tick(self, node: Node) -> None:
        if self.machine.node is node:
            for lie in self.lies:
                lie.tick()
            self.world.network.later(TICK_S, lambda: self._tick(node))

    # --- what lies are made with -------------------------------------------------------------

    @property
    def state(self) -> State | None:
        return self.node.engine.state

    @property
    def peers(self) -> list[bytes]:
        """The other validators that hear it now."""
        return self.node.roster.connected_validators(self.network)

    def second_half(self, peer: bytes) -> bool:
        """Whether a validator is one of those that are told the other story."""
        others = sorted(
            key for key in self.node.roster.validators if key != self.machine.network_key
        )
        return peer in others[len(others) // 2 :]

    def signed(self, vote: V) -> V:
        """In its own name, whatever its log says."""
        vote = replace(vote, sender=self.key)  # type: ignore[type-var]
        return vote.with_signature(  # type: ignore[return-value]
            sign(self.seed, vote.tag, vote.signing_bytes(self.chain_id))
        )

    def say(self, *votes: Vote, to: Iterable[bytes] | None = None) -> None:
        """Send votes as they are."""
        for peer in self.peers if to is None else to:
            for vote in votes:
                self.network.send(peer, Channel.CONSENSUS, encode_vote(vote))


class _Ears:
    """The handler that the network sees."""

    def __init__(self, liar: Liar, node: Node) -> None:
        self._liar, self._node = liar, node

    async def on_connect(self, peer: bytes) -> None:
        engine: Any = self._node.engine
        engine._own_vote_shown = lambda *_: None
        await self._node.on_connect(peer)

    async def on_disconnect(self, peer: bytes, reason: str) -> None:
        await self._node.on_disconnect(peer, reason)

    def on_fault(self, peer: bytes, fault: PeerFault) -> None:
        self._node.on_fault(peer, fault)

    async def on_message(self, peer: bytes, channel: Channel, payload: bytes) -> None:
        if channel is Channel.CONSENSUS:
            vote = decode_vote(payload)
            for lie in self._liar.lies:
                lie.heard(peer, vote)
        await self._node.on_message(peer, channel, payload)

    async def on_request(self, peer: bytes, payload: bytes) -> bytes:
        answer = await self._node.on_request(peer, payload)
        for lie in self._liar.lies:
            answer = lie.answer(peer, payload, answer)
        return answer


class _Mouth:
    """The network that the node sees."""

    def __init__(self, liar: Liar, network: Network) -> None:
        self._liar, self._network = liar, network

    def send(self, peer: bytes, channel: Channel, payload: bytes) -> bool:
        if channel is Channel.CONSENSUS:
            votes: list[Vote] = [decode_vote(payload)]
            for lie in self._liar.lies:
                votes = [said for vote in votes for said in lie.votes(peer, vote)]
            payloads = [encode_vote(vote) for vote in votes]
        else:
            payloads = [payload]
            for lie in self._liar.lies:
                payloads = [said for one in payloads for said in lie.message(peer, channel, one)]
        sent = [self._network.send(peer, channel, one) for one in payloads]
        return all(sent)

    def connected(self) -> tuple[bytes, ...]:
        return self._network.connected()

    async def request(
        self, peer: bytes, payload: bytes, *, bytes_max: int, timeout_ms: int
    ) -> bytes:
        return await self._network.request(
            peer, payload, bytes_max=bytes_max, timeout_ms=timeout_ms
        )

    def drop(self, peer: bytes, reason: str) -> None:
        self._network.drop(peer, reason)

    def accuse(self, peer: bytes, fault: PeerFault) -> None:
        self._network.accuse(peer, fault)

    def admit(self, peers: Iterable[PeerAddress]) -> None:
        self._network.admit(peers)

    def peer_reports(self) -> list[dict[str, Any]]:
        return self._network.peer_reports()


def make_liar(world: World, name: str, *lies: Lie, seed: object = 0) -> Liar:
    """From its next start on the machine lies in these ways, in this order."""
    machine = world.machines[name]
    liar = Liar(world, machine, lies, f"{seed} {name}")
    machine.bent = liar.join
    world.liars.add(name)
    return liar


def later(world: World, delay_s: float, liar: Liar, *votes: Vote, to: Iterable[bytes]) -> None:
    """Send votes after a while, if the liar is still there."""
    node, peers = liar.node, list(to)

    def send() -> None:
        if liar.machine.node is node:
            liar.say(*votes, to=peers)

    world.network.later(delay_s, send)
