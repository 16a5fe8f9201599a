"""`hansa evidence`: who signed what no honest validator signs, checked here and now."""

from __future__ import annotations

from typing import Any

import click

from cli import output
from cli.call import open_client
from cli.client import Client, RequestFailed
from cli.settings import current, json_option, node_option
from consensus import rules
from consensus.block import SealedBlock
from consensus.evidence import Evidence
from consensus.primitives.errors import CodecError, PeerFault


@click.group()
def evidence() -> None:
    """Proof that a validator signed what no honest one signs."""


@evidence.command()
@node_option
@json_option
def votes() -> None:
    """Conflicting votes: in which block the proof stands, or that it waits for one.

    Both signatures of each are checked here, and that the block holds them: the node is not
    believed. Ends with 1 when anything it shows proves nothing.

    \b
    Examples:
      hansa evidence votes
      hansa evidence votes --json
    """
    with open_client() as client:
        status = client.node_status()
        chain_id = bytes.fromhex(status["chain_id"])
        blocks: dict[int, set[bytes]] = {}
        found = [
            {**one, "proven": not (why := _doubt(client, one, chain_id, blocks)), "doubt": why}
            for one in client.evidence()
        ]
    found.sort(key=lambda one: (one["block"] is None, one["block"] or 0, one["digest"]))
    if current().json:
        output.print_json({"chain_id": status["chain_id"], "evidence": found})
    elif not found:
        chain = output.short(status["chain_id"])
        click.echo(f"no validator of chain {chain} is known to have contradicted itself")
    else:
        headers = ("validator", "key", "height", "rounds", "fault", "votes", "block", "proven")
        click.echo(output.table(headers, [_row(one) for one in found]))
    if not all(one["proven"] for one in found):
        raise click.exceptions.Exit(output.REFUSED)


def _row(one: dict[str, Any]) -> tuple[object, ...]:
    said = one["votes"]
    rounds = sorted({vote["round"] for vote in said})
    return (
        one["validator"],
        output.short(one["key"]),
        one["height"],
        ", ".join(map(str, rounds)),
        one["fault"],
        " ".join(output.short(vote["hash"]) for vote in said),
        "waits" if one["block"] is None else str(one["block"]),
        "yes" if one["proven"] else f"no: {one['doubt']}",
    )


def _doubt(
    client: Client, one: dict[str, Any], chain_id: bytes, blocks: dict[int, set[bytes]]
) -> str:
    """Why a piece proves nothing, or not what the node says of it; empty if all is proven.

    ``blocks`` keeps the digests in each block that was looked at.
    """
    try:
        proof = Evidence.decode(bytes.fromhex(one["bytes"]))
        height = proof.check(chain_id)
        hashes = [bytes.fromhex(vote["hash"]) for vote in one["votes"]]
        rounds = [vote["round"] for vote in one["votes"]]
        told = (one["digest"], one["key"], one["height"], one["kind"])
    except (CodecError, PeerFault) as error:
        return error.message
    except (KeyError, TypeError, ValueError):
        return "the node's answer is not whole"
    proves = (proof.digest.hex(), proof.sender.hex(), height, proof.kind)
    if told != proves or hashes != list(proof.vote_hashes) or rounds != list(proof.rounds):
        return "it proves something else than the node says"
    block = one["block"]
    if block is None:
        return ""
    if block not in blocks:
        blocks[block] = _digests(client, block)
    return "" if proof.digest in blocks[block] else f"it does not stand in block {block}"


def _digests(client: Client, height: int) -> set[bytes]:
    """Of the evidence that a block's header commits to."""
    try:
        sealed = SealedBlock.decode(client.sealed_block(height))
    except (CodecError, RequestFailed):
        return set()
    block = sealed.block
    whole = block.height == height and rules.is_whole(block)
    return {one.digest for one in block.evidence} if whole else set()
