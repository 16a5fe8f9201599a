"""Blocks, certificates, receipts and indexes, checked from the genesis document on.

The document names the validators of block 0, each header those of the next: so every block here is
judged by its own quorum's seals, as a light node would, and nothing on this disk is believed but
its hash. A sample of heights is checked in the same way, each one by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from consensus import rules
from consensus.block import Block, Header
from consensus.certificates import Certificate
from consensus.primitives import merkle
from consensus.primitives.errors import CodecError, HansaError, PeerFault, TxRejected
from consensus.primitives.merkle import Frontier
from consensus.transaction import Transaction
from consensus.validators import ValidatorSet
from genesis.document import GenesisDocument
from node.care.findings import Findings, Progress, Remedy
from node.store import schema
from node.store.blocks import BlockStore, decode_receipts
from node.store.history import HistoryStore, Subtrees
from node.store.kv import KV
from node.store.schema import height_key


@dataclass(frozen=True)
class Counted:
    """What a pass over the blocks came by."""

    blocks: int
    transactions: int
    last: Header | None


class BlockCheck:
    """One pass over the blocks of a store that ends with ``tip``."""

    def __init__(self, kv: KV, document: GenesisDocument, tip: int, findings: Findings) -> None:
        self._kv = kv
        self._document = document
        self._tip = tip
        self._findings = findings
        self._sets: dict[bytes, ValidatorSet | None] = {}
        blocks = BlockStore(kv)
        self._oldest = blocks.oldest
        self.first = blocks.before.size
        """The first header that the store has: not 0 where it was made from a snapshot."""
        self._subtrees = Subtrees(blocks.before)
        self.frontier: Frontier | None = blocks.before
        """Of all headers so far; None once one was missing."""

    def _wrong(self, code: str, table: bytes, height: int, what: str, remedy: Remedy) -> None:
        where = f"table {table.decode()}, height {height}"
        self._findings.add(code, where, what, remedy)

    def check(self, progress: Progress) -> Counted:
        """Every block from the first on; of those that were pruned, what is left."""
        previous: Header | None = None
        blocks = transactions = 0
        for height in range(self.first, self._tip + 1):
            progress("blocks", height, self._tip + 1)
            block = None
            header = None
            if height < self._oldest:
                header = self._pruned(height)
            elif (block := self._block(height)) is not None:
                header = block.header
            if header is None:
                self.frontier = previous = None
                continue
            if previous is not None:
                self._follows(previous, header)
            elif height == 0 and header.validators_hash != self._document.validator_set().digest:
                what = "its validators are not those of the genesis document"
                self._wrong("DB_BLOCK_WRONG", schema.BLOCK, 0, what, "elsewhere")
            if self.frontier is not None:
                if header.history_root != self.frontier.root:
                    what = "its history root is not that of the blocks before it"
                    self._wrong("DB_BLOCK_WRONG", schema.BLOCK, height, what, "elsewhere")
                self.frontier = self.frontier.append(header.digest)
                self._history(height, header.digest)
            self._sealed(header)
            if block is not None:
                self._parts(block)
                transactions += len(block.bodies)
            previous = header
            blocks += 1
        progress("blocks", self._tip + 1, self._tip + 1)
        return Counted(blocks, transactions, previous)

    def check_some(self, heights: Sequence[int], progress: Progress) -> Counted:
        """Only the blocks at these heights, each with the header before it."""
        history = HistoryStore(self._kv)
        transactions = found = 0
        last: Header | None = None
        for number, height in enumerate(heights):
            progress("blocks", number, len(heights))
            block = self._block(height)
            if block is None:
                continue
            last = block.header
            found += 1
            transactions += len(block.bodies)
            before = self._block(height - 1) if height > self._oldest else None
            if before is not None:
                self._follows(before.header, block.header)
            try:
                told = history.subtree(0, height) if height else merkle.EMPTY_ROOT
            except HansaError as error:
                self._wrong("DB_INDEX_WRONG", schema.HISTORY, height, error.message, "indexes")
            else:
                if told != block.header.history_root:
                    what = "the hashes of earlier headers do not give its history root"
                    self._wrong("DB_INDEX_WRONG", schema.HISTORY, height, what, "indexes")
            self._sealed(block.header)
            self._parts(block)
        progress("blocks", len(heights), len(heights))
        return Counted(found, transactions, last)

    # --- one block -----------------------------------------------------------------------------

    def _block(self, height: int) -> Block | None:
        raw = self._kv.get(height_key(schema.BLOCK, height))
        if raw is None:
            self._wrong("DB_BLOCK_MISSING", schema.BLOCK, height, "is missing", "elsewhere")
            return None
        try:
            block = Block.decode(raw)
        except CodecError as error:
            self._wrong("DB_BLOCK_WRONG", schema.BLOCK, height, error.message, "elsewhere")
            return None
        if block.height != height or block.header.chain_id != self._document.chain_id:
            what = f"is block {block.height} of chain {block.header.chain_id.hex()}"
            self._wrong("DB_BLOCK_WRONG", schema.BLOCK, height, what, "elsewhere")
            return None
        return block

    def _pruned(self, height: int) -> Header | None:
        """The header that is left of a block."""
        raw = self._kv.get(height_key(schema.PRUNED_HEADER, height))
        what = "is missing"
        try:
            header = None if raw is None else Header.decode(raw)
        except CodecError as error:
            header, what = None, error.message
        if header is not None and header.height != height:
            header, what = None, "is another block's"
        if header is None:
            self._wrong("DB_BLOCK_WRONG", schema.PRUNED_HEADER, height, what, "elsewhere")
        return header

    def _follows(self, previous: Header, header: Header) -> None:
        wrong = []
        if header.parent != previous.digest:
            wrong.append("its parent is not the block before it")
        if header.validators_hash != previous.next_validators_hash:
            wrong.append("its validators are not those that the header before it names")
        for what in wrong:
            self._wrong("DB_BLOCK_WRONG", schema.BLOCK, header.height, what, "elsewhere")

    def _sealed(self, header: Header) -> None:
        """Who sealed a header, and that it is found by its hash."""
        height = header.height
        if height:
            self._certificate(height, header)
        at = self._kv.get(schema.BLOCK_HASH + header.digest)
        if at != height.to_bytes(8, "big"):
            self._wrong("DB_INDEX_WRONG", schema.BLOCK_HASH, height, _lacks(at), "indexes")

    def _parts(self, block: Block) -> None:
        """Everything else about a block, by its header."""
        height, header = block.height, block.header
        if not rules.is_whole(block):
            what = "bodies, evidence or last certificate are not those of its header"
            self._wrong("DB_BLOCK_WRONG", schema.BLOCK, height, what, "elsewhere")
        self._receipts(height, header)
        for index, raw in enumerate(block.bodies):
            try:
                tx_id = Transaction.parse(raw).tx_id
            except TxRejected as error:
                self._wrong("DB_BLOCK_WRONG", schema.BLOCK, height, error.message, "elsewhere")
                continue
            position = height.to_bytes(8, "big") + index.to_bytes(4, "big")
            found = self._kv.get(schema.TX_ID + tx_id)
            if found != position:
                what = f"transaction {tx_id.hex()}: {_lacks(found)}"
                self._wrong("DB_INDEX_WRONG", schema.TX_ID, height, what, "indexes")

    def _certificate(self, height: int, header: Header) -> None:
        def wrong(what: str) -> None:
            """The next block has a copy, which its header vouches for."""
            remedy: Remedy = "indexes" if height < self._tip else "elsewhere"
            self._wrong("DB_CERTIFICATE_WRONG", schema.CERTIFICATE, height, what, remedy)

        raw = self._kv.get(height_key(schema.CERTIFICATE, height))
        if raw is None:
            wrong("is missing")
            return
        validators = self._set(header.validators_hash)
        if validators is None:
            return  # told of the set
        quorum = validators.thresholds(self._document.params.fault_model).quorum
        try:
            certificate = Certificate.decode(raw)
            certificate.check(self._document.chain_id, validators, quorum)
        except (CodecError, PeerFault) as error:
            wrong(error.message)
            return
        if certificate.height != height or certificate.block_hash != header.digest:
            wrong("is another block's")

    def _set(self, digest: bytes) -> ValidatorSet | None:
        if digest in self._sets:
            return self._sets[digest]
        found: ValidatorSet | None = None
        raw = self._kv.get(schema.VALIDATORS + digest)
        what = "is missing"
        if raw is not None:
            try:
                found = ValidatorSet.decode(raw)
            except CodecError as error:
                what = error.message
            if found is not None and found.digest != digest:
                found, what = None, "is another set"
        if found is None:
            where = f"table {schema.VALIDATORS.decode()}, set {digest.hex()}"
            self._findings.add("DB_VALIDATORS_WRONG", where, what, "replay")
        self._sets[digest] = found
        return found

    def _receipts(self, height: int, header: Header) -> None:
        def wrong(what: str) -> None:
            self._wrong("DB_RECEIPTS_WRONG", schema.RECEIPTS, height, what, "replay")

        raw = self._kv.get(height_key(schema.RECEIPTS, height))
        if raw is None:
            wrong("are missing")
            return
        try:
            receipts = decode_receipts(raw)
        except CodecError as error:
            wrong(error.message)
            return
        if merkle.root([one.raw for one in receipts]) != header.receipt_root:
            wrong("do not give the header's receipt root")
        elif merkle.root(rules.event_leaves(receipts)) != header.event_root:
            wrong("do not give the header's event root")

    def _history(self, height: int, block_hash: bytes) -> None:
        """The subtrees over header hashes that this one completes."""
        for key, hashed in self._subtrees.add(block_hash):
            if self._kv.get(key) != hashed:
                what = f"key {key.hex()} is not the root over its headers"
                self._wrong("DB_INDEX_WRONG", schema.HISTORY, height, what, "indexes")


def _lacks(found: bytes | None) -> str:
    return "is missing" if found is None else f"leads to {found.hex()}"


def check_strays(
    kv: KV, tip: int, counted: Counted, findings: Findings, progress: Progress
) -> None:
    """Entries of the indexes that no block accounts for, once all blocks were found."""
    store = BlockStore(kv)
    first, headers = store.before.size, tip + 1 - store.before.size
    whole = tip + 1 - store.oldest
    subtrees = 2 * (tip + 1) - (tip + 1).bit_count() - (2 * first - first.bit_count())
    expected = {
        schema.BLOCK: whole,
        schema.PRUNED_HEADER: headers - whole,
        schema.CERTIFICATE: headers - (first == 0),
        schema.RECEIPTS: whole,
        schema.BLOCK_HASH: headers,
        schema.TX_ID: counted.transactions,
        schema.HISTORY: subtrees + first.bit_count(),
    }
    for number, (table, count) in enumerate(expected.items()):
        progress("entries", number, len(expected))
        found = sum(1 for _ in kv.scan(table, bytes((table[0] + 1,))))
        if found > count:
            what = f"{found} entries where the blocks account for {count}"
            remedy: Remedy = "elsewhere" if table == schema.BLOCK else "indexes"
            findings.add("DB_STRAY", f"table {table.decode()}", what, remedy)


def check_unknown(kv: KV, known: Iterable[bytes], findings: Findings) -> None:
    """Keys of no table of this layout."""
    prefixes = sorted(one[0] for one in known)
    for low, high in zip([-1, *prefixes], [*prefixes, 256], strict=True):
        stop = b"\xff" * 200 if high == 256 else bytes((high,))
        for key, _ in kv.scan(bytes((low + 1,)) if low < 255 else stop, stop):
            findings.add("DB_STRAY", f"key {key[:40].hex()}", "is of no known table", "indexes")
