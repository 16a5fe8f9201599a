"""One value of every wire type, from fixed seeds; the golden file holds their bytes."""

from __future__ import annotations

from typing import Any

from consensus.block import Block, Content, Header, SealedBlock
from consensus.certificates import Certificate, PreparedCertificate
from consensus.evidence import Evidence
from consensus.messages import Commit, Prepare, Proposal, RoundChange, Vote, encode_vote
from consensus.outcomes import Outcomes, detail_of
from consensus.params import Params
from consensus.primitives.codec import Wire
from consensus.primitives.crypto import public_key, sha256, sign
from consensus.receipt import Event, Receipt
from consensus.rules import LongestWindow
from consensus.transaction import Call, TransactionBody
from consensus.turns import Lapse, Turns
from consensus.validators import Validator, ValidatorSet
from contracts.runtime.package import Package, SourceFile
from genesis.document import (
    VERSION,
    GenesisDocument,
    GenesisOrganisation,
    GenesisPeer,
    GenesisValidator,
    Seal,
)

CHAIN_ID = sha256(b"chain")
TIME_MS = 1_790_000_000_000
SEEDS = [sha256(bytes([index])) for index in range(4)]
KEYS = [public_key(seed) for seed in SEEDS]
VALIDATORS = ValidatorSet(
    tuple(Validator(f"v{index}", key, "9520123000004") for index, key in enumerate(KEYS))
)


def signed(vote: Vote, index: int) -> Any:
    return vote.with_signature(sign(SEEDS[index], vote.tag, vote.signing_bytes(CHAIN_ID)))


def samples() -> dict[str, Wire]:
    """Name -> value; every value can be decoded again."""
    call = Call(
        "batch", "ship", {"n": -1, "big": 2**64 - 1, "raw": b"\x00", "text": "ä", "l": [True, None]}
    )
    body = TransactionBody(
        1, CHAIN_ID, KEYS[0], (call,), TIME_MS + 60_000, 100_000, bytes(range(16))
    )
    tx = body.signed(SEEDS[0])
    event = Event("batch", "Shipped", {"lot": "L1", "quantity": 5})
    receipt = Receipt(tx.wire_id, "OK", "", 4_321, (event,), [None])
    unsigned = bytes(64)
    block_hash, parent = sha256(b"block"), sha256(b"parent")

    seals = {
        KEYS[index]: signed(Commit(1, 0, parent, KEYS[index], unsigned), index).signature
        for index in range(3)
    }
    certificate = Certificate.build(1, 0, parent, seals, VALIDATORS)
    one, other = sorted(
        (signed(Commit(1, 0, name, KEYS[3], unsigned), 3) for name in (parent, block_hash)),
        key=lambda vote: vote.signing_bytes(CHAIN_ID),
    )
    evidence = Evidence(
        3,
        KEYS[3],
        one.signing_bytes(CHAIN_ID),
        one.signature,
        other.signing_bytes(CHAIN_ID),
        other.signature,
    )
    content = Content(2, parent, TIME_MS, KEYS[1], (tx.wire_id,), (evidence,), certificate)
    header = Header(
        1, CHAIN_ID, 2, parent, TIME_MS, KEYS[1],
        *(sha256(bytes([index])) for index in range(11)),
    )  # fmt: skip
    block = Block(header, (tx.raw,), (evidence,), certificate)
    prepare = signed(Prepare(2, 0, content.digest, block_hash, KEYS[1], unsigned), 1)
    prepares = {
        KEYS[index]: signed(
            Prepare(2, 0, content.digest, block_hash, KEYS[index], unsigned), index
        ).signature
        for index in range(3)
    }
    prepared = PreparedCertificate.build(0, content.digest, block_hash, prepares, VALIDATORS)
    change = signed(RoundChange(2, 1, prepared, 0, content, KEYS[1], unsigned), 1)
    bare = signed(RoundChange(2, 1, None, None, None, KEYS[2], unsigned), 2)
    proposal = signed(
        Proposal(2, 1, content, (tx.raw,), (change.without_content(), bare), KEYS[1], unsigned), 1
    )
    detail = detail_of(receipt, {b"b\x00": b"\x01", b"a\x00": None, b"c\x00": bytes(300)})
    package = Package(
        "notes", 1, 1, (SourceFile("own/words.py", "WORDS = 3\n"), SourceFile("own/notes.py", "\n"))
    )
    genesis = GenesisDocument(
        VERSION,
        "trade",
        TIME_MS,
        Params(),
        (GenesisOrganisation("9520123000004", "Maker", ("manufacturer",), KEYS[0]),),
        (GenesisValidator("v0", "9520123000004", KEYS[0], KEYS[1], ("v0.example:8630",)),),
        (GenesisPeer("f0", "9520123000004", "full", KEYS[2], ()),),
        (package,),
        (Seal("v0", unsigned),),
    )
    return {
        "Call": call,
        "TransactionBody": body,
        "Transaction": tx,
        "Event": event,
        "Receipt": receipt,
        "Params": Params(),
        "ValidatorSet": VALIDATORS,
        "Certificate": certificate,
        "PreparedCertificate": prepared,
        "Evidence": evidence,
        "Content": content,
        "Header": header,
        "Block": block,
        "SealedBlock": SealedBlock(block, certificate),
        "Prepare": prepare,
        "Commit": one,
        "RoundChange": change,
        "RoundChange without a prepared pair": bare,
        "Proposal": proposal,
        "Outcomes": Outcomes(
            content.digest, header, (receipt.digest,), (detail.entry[1],), KEYS[1], unsigned
        ).signed(SEEDS[1], CHAIN_ID),
        "Detail": detail,
        "Turns": Turns((Lapse(KEYS[2], 7, True, 2, 70),)),
        "LongestWindow": LongestWindow(600_000, TIME_MS),
        "Package": package,
        "Manifest": package.manifest,
        "GenesisDocument": genesis,
    }


def vectors() -> dict[str, dict[str, str]]:
    """Name -> hex of the bytes, their hash, and for votes the frame and the signed message."""
    found = {}
    for name, value in samples().items():
        entry = {"bytes": value.raw.hex(), "sha256": value.digest.hex()}
        if isinstance(value, Vote):
            entry["signs"] = (value.tag + b"\x00" + value.signing_bytes(CHAIN_ID)).hex()
            entry["frame"] = encode_vote(value).hex()
        found[name] = entry
    return found
