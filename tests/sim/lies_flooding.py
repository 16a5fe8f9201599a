"""Lies that burden: floods, replays, transactions and blocks that are not what they seem."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import nacl.bindings as sodium

from consensus.block import SealedBlock
from consensus.messages import UNSIGNED, Commit, Prepare, RoundChange, Vote
from consensus.primitives.codec import encode
from consensus.primitives.crypto import TAG_TRANSACTION, public_key, sha256
from consensus.transaction import Call, Transaction, TransactionBody
from consensus.validators import bitmap
from node import frames
from p2p import gossip
from p2p.ports import Channel
from tests.sim.liars import Liar, Lie
from tests.sim.world import VirtualClock, seed_of


def secret_transaction(
    liar: Liar, *, valid_for_ms: int = 60_000, chain: bytes = b""
) -> Transaction:
    """One that nobody else has."""
    key = public_key(liar.rng.randbytes(32))
    args = {"key": key, "label": "a liar's", "roles": []}
    return TransactionBody(
        1,
        chain or liar.chain_id,
        public_key(seed_of("admin")),
        (Call("identity", "add_key", args),),
        VirtualClock().wall_ms() + valid_for_ms,
        1_000_000,
        liar.rng.randbytes(16),
    ).signed(seed_of("admin"))


def resigned(tx: Transaction, seed: bytes, rng: random.Random) -> Transaction:
    """Another valid signature of the same body by the same key: Ed25519 with a drawn nonce."""
    scalar = sodium.crypto_sign_ed25519_sk_to_curve25519(sodium.crypto_sign_seed_keypair(seed)[1])
    message = TAG_TRANSACTION + b"\x00" + tx.body_raw
    nonce = sodium.crypto_core_ed25519_scalar_reduce(rng.randbytes(64))
    point = sodium.crypto_scalarmult_ed25519_base_noclamp(nonce)
    challenge = sodium.crypto_core_ed25519_scalar_reduce(
        sodium.crypto_hash_sha512(point + public_key(seed) + message)
    )
    product = sodium.crypto_core_ed25519_scalar_mul(
        challenge, sodium.crypto_core_ed25519_scalar_reduce(scalar + bytes(32))
    )
    answer = sodium.crypto_core_ed25519_scalar_add(nonce, product)
    return Transaction(tx.body_raw, point + answer)


class Flooder(Lie):
    """Signed votes for far heights and rounds, many at a time, and in others' names."""

    AT_ONCE: Final = 60

    def __init__(self, *, others: bool = False) -> None:
        super().__init__()
        self.others = others
        self.faults = frozenset({"NOT_ITS_VOTE"}) if others else frozenset()
        self._next = 1

    def tick(self) -> None:
        height = self.liar.node.chain.height + 1
        for _ in range(self.AT_ONCE):
            self._next += 1
            far = self._next
            mark = sha256(far.to_bytes(8, "big"))
            vote: Vote = (
                Prepare(height + 1, far, mark, mark, self.liar.key, UNSIGNED),
                Commit(height, far % 2**32, mark, self.liar.key, UNSIGNED),
                RoundChange(height, far * 1000 % 2**32, None, None, None, self.liar.key, UNSIGNED),
                Commit(height + far, 0, mark, self.liar.key, UNSIGNED),
            )[far % 4]
            self.liar.say(self.liar.signed(vote))
        if self.others:
            victims = self.liar.node.chain.validators.index_of
            victim = next(key for key in victims if key != self.liar.key)
            self.liar.say(Commit(height, 0, sha256(b"x"), victim, UNSIGNED))


class Replayer(Lie):
    """Every own vote that it ever sent, again and again."""

    KEPT: Final = 400

    def __init__(self) -> None:
        super().__init__()
        self._old: dict[bytes, Vote] = {}

    def votes(self, peer: bytes, vote: Vote) -> Iterable[Vote]:
        if len(self._old) < self.KEPT:
            self._old[vote.signature] = vote
        return (vote,)

    def tick(self) -> None:
        old = list(self._old.values())
        self.liar.say(*self.liar.rng.sample(old, min(20, len(old))))


class ManySigner(Lie):
    """One body under ever new valid signatures, to everybody."""

    AT_ONCE: Final = 30

    def __init__(self) -> None:
        super().__init__()
        self._tx: Transaction | None = None

    def tick(self) -> None:
        if self._tx is None or self.liar.rng.random() < 0.2:
            self._tx = secret_transaction(self.liar)
        admin = seed_of("admin")
        for peer in self.liar.peers:
            many = [resigned(self._tx, admin, self.liar.rng).raw for _ in range(self.AT_ONCE)]
            payload = gossip.frame(gossip.TXS, many)
            self.liar.network.send(peer, Channel.TRANSACTIONS, payload)


class SyncLiar(Lie):
    """Boasts of blocks, and shows something else to those who ask for them."""

    FLAWS: Final = (
        "nothing",
        "garbage",
        "no certificate",
        "weak certificate",
        "other certificate",
        "other bodies",
        "other heights",
    )

    def __init__(self, flaw: str) -> None:
        super().__init__()
        assert flaw in self.FLAWS
        self.flaw = flaw

    def tick(self) -> None:
        chain = self.liar.node.chain
        boast = chain.height + self.liar.rng.choice((0, 0, 1, 1000, 2**40))
        payload = frames.frame(frames.STATUS, [boast, chain.hash])
        for peer in self.liar.network.connected():
            self.liar.network.send(peer, Channel.CHAIN, payload)

    def answer(self, peer: bytes, question: bytes, answer: bytes) -> bytes:
        if question[0] != frames.BLOCKS:
            return answer
        blocks = [SealedBlock.decode(raw) for raw in frames.read_blobs(answer, len(answer))]
        if self.flaw == "nothing" or not blocks:
            return frames.fill(())
        if self.flaw == "garbage":
            return self.liar.rng.randbytes(100)
        if self.flaw == "other heights":
            return encode([one.raw for one in reversed(blocks)])
        return encode([self._bent(one).raw for one in blocks])

    def _bent(self, sealed: SealedBlock) -> SealedBlock:
        block, certificate = sealed.block, sealed.certificate
        if certificate is None or self.flaw == "no certificate":
            return replace(sealed, certificate=None)
        if self.flaw == "weak certificate":
            index = next(i for i in range(64) if certificate.signers[i // 8] >> i % 8 & 1)
            marks = bitmap([index], len(self.liar.node.chain.validators))
            weak = replace(certificate, signers=marks, seals=certificate.seals[:1])
            return replace(sealed, certificate=weak)
        if self.flaw == "other certificate":
            header = replace(block.header, time_ms=block.header.time_ms + 1)
            return replace(sealed, block=replace(block, header=header))
        return replace(sealed, block=replace(block, bodies=(*block.bodies, b"more")))
