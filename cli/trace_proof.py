"""A trace that is proven: that it is right and whole, and where each of its events came from.

The query runs here, over the newest state that the node proves, so nothing is left out of its
answer. Beside that each event is, to the byte, one that the contract wrote in its block: its hash
stands in the audit trail's event ``Written`` of a receipt, and a quorum sealed the block that names
the receipt. Receipt, Merkle path, header and certificate are handed out, so that anybody can check
them again. Validators are followed from the genesis document, which alone is trusted.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from cli import output
from cli.proven import ProvenBlock
from consensus import rules
from consensus.block import SealedBlock
from consensus.primitives import merkle
from consensus.primitives.codec import encode
from consensus.primitives.crypto import sha256
from consensus.primitives.errors import CodecError, InputError
from consensus.receipt import Event
from contracts.runtime.audit import EVENT
from contracts.sdk.records import plan_of
from contracts.supply.things import Entry
from node.store.blocks import decode_receipts

if TYPE_CHECKING:
    from cli.client import Client
    from cli.verifying import Reader, Verified

CONTRACT = "batch"


class Told(NamedTuple):
    """A proven trace; ``proofs`` has for each block what proves its events, bytes as hex."""

    found: dict[str, Any]
    names: dict[str, str]  # of the organisations in it
    chain_id: str
    summary: str
    proofs: list[dict[str, Any]]


def prove(client: Client, reader: Reader, item: str) -> Told:
    """Raises InputError NOT_PROVEN for what the chain does not bear out."""
    from cli.proven_queries import ProvenQueries
    from cli.trace import parties

    queries = ProvenQueries(reader)
    found = queries.ask("batch", "trace", {"item": item})
    events = found["events"]
    names = {}
    for one in sorted(parties(events)):
        known = queries.ask("identity", "organisation", {"id": one})
        names[one] = known["name"] if known else one
    proofs = []
    fewest = len(queries.at.sealed_by)
    in_order = sorted(events, key=lambda event: (event["height"], event["tx_index"]))
    for height, entries in groupby(in_order, key=lambda event: int(event["height"])):
        verified = reader.header(height)
        fewest = min(fewest, len(verified.sealed_by))
        block = _block(client, verified)
        proofs.append(_of_block(block, verified, list(entries)))
    header = queries.at.header
    whole = "all that there are" if found["complete"] else "the first that there are"
    summary = (
        f"{output.counted(len(events), 'event')} proven, {whole} by the state of block"
        f" {header.height}, of {output.when(header.time_ms)} UTC,\n"
        f"each in a receipt that leads to the header of its block:"
        f" {output.counted(len(proofs), 'block')}, each sealed by {fewest} validators or more"
    )
    return Told(found, names, header.chain_id.hex(), summary, proofs)


def _block(client: Client, verified: Verified) -> ProvenBlock:
    """The block that a sealed header names, with its receipts."""
    header = verified.header
    try:
        block = SealedBlock.decode(client.sealed_block(header.height)).block
        receipts = decode_receipts(client.receipts(header.height))
    except CodecError as error:
        raise InputError("NOT_PROVEN", f"block {header.height}: {error.message}") from None
    whole = block.header.raw == header.raw and rules.is_whole(block)
    if not whole or merkle.root([one.raw for one in receipts]) != header.receipt_root:
        raise InputError("NOT_PROVEN", f"block {header.height} is not what its header names")
    return ProvenBlock(block, receipts)


def _of_block(
    block: ProvenBlock, verified: Verified, entries: list[dict[str, Any]]
) -> dict[str, Any]:
    leaves = [one.raw for one in block.receipts]
    root = block.block.header.receipt_root
    receipts = []
    for index in sorted({_receipt_of(block, entry) for entry in entries}):
        path = merkle.inclusion_proof(leaves, index)
        if not merkle.verify_inclusion(root, len(leaves), index, leaves[index], path):
            raise _unfounded(block, f"receipt {index} does not lead to its header")
        receipts.append(
            {
                "index": index,
                "of": len(leaves),
                "receipt": leaves[index].hex(),
                "path": [one.hex() for one in path],
            }
        )
    return {
        "height": block.height,
        "header": block.block.header.raw.hex(),
        "certificate": verified.certificate.raw.hex(),
        "receipts": receipts,
    }


def _receipt_of(block: ProvenBlock, entry: dict[str, Any]) -> int:
    """The place of the receipt whose audit trail has the hash of just this entry."""
    if entry.keys() != plan_of(Entry).fields.keys():
        raise _unfounded(block, "an entry of the trace has other fields than it should")
    digest = sha256(encode([entry[name] for name in plan_of(Entry).names]))
    key = [entry["item"], entry["height"], entry["tx_index"], entry["call_index"]]
    for index, receipt in enumerate(block.receipts):
        if any((key, digest) in _written(event) for event in receipt.events):
            if (block.tx_id(index) or b"") != entry["tx_id"]:
                break
            return index
    raise _unfounded(block, f"it does not have the {entry['event']} of {entry['item']}")


def _written(event: Event) -> list[tuple[Any, bytes]]:
    """Key and new hash of the histories' entries that an event of the audit trail tells of."""
    if event.name != EVENT:
        return []
    return [
        (list(key), group["new"][32 * at : 32 * at + 32])
        for group in event.fields["records"]
        if (group["contract"], group["map"]) == (CONTRACT, "history")
        for at, key in enumerate(group["keys"])
    ]


def _unfounded(block: ProvenBlock, why: str) -> InputError:
    return InputError("NOT_PROVEN", f"block {block.height} does not bear the trace out: {why}")
