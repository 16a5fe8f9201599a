"""`hansa evidence`: files that prove something without any node, and validators' contradictions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import output
from cli.bundle.subjects import KINDS
from cli.call import open_client
from cli.client import Client, RequestFailed
from cli.openings import openings_option
from cli.proof import chain_line, open_reader, require_chain, trust_options
from cli.settings import current, json_option, key_option, node_option
from consensus import rules
from consensus.block import SealedBlock
from consensus.evidence import Evidence
from consensus.primitives.errors import CodecError, InputError, PeerFault

if TYPE_CHECKING:
    from cli.bundle.form import Checked
    from cli.opening_book import OpeningBook


@click.group()
def evidence() -> None:
    """One file that proves what became of a batch, a recall or a credit; and proof that a validator
    signed what no honest one signs."""


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


# --- bundles -------------------------------------------------------------------------------------


@evidence.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("subject")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True,
              help="The file to write; none that exists is overwritten.")  # fmt: skip
@click.option("--height", type=click.IntRange(1),
              help="As of this block, if the node still has its state.")  # fmt: skip
@click.option("--open", "opened", metavar="COMMITMENT", multiple=True,
              help="Disclose what stands behind a commitment; may be repeated.")  # fmt: skip
@click.option("--open-all", is_flag=True, help="Disclose all that the own openings tell of it.")
@click.option("--without-genesis", is_flag=True,
              help="A smaller file, for those who have the genesis document.")  # fmt: skip
@click.option("--with-code", is_flag=True, help="Put the contracts' source in, so that later "
              "releases can tell the answers, too.")  # fmt: skip
@openings_option
@key_option
@trust_options
@node_option
@json_option
def export(
    kind: str,
    subject: str,
    out: Path,
    height: int | None,
    opened: tuple[str, ...],
    open_all: bool,
    without_genesis: bool,
    with_code: bool,
    folder: Path | None,
    genesis: Path | None,
    chain_id: str | None,
) -> None:
    """Write one file about an item, a recall or a credit that anybody can check without a node.

    SUBJECT is an item's GS1 path, or the number of a recall or credit. The file holds its records,
    history and transactions with their proofs, up to the genesis document. What stands behind
    commitments is left out unless it is opened here: whoever has the file then can read it.

    \b
    Examples:
      hansa evidence export item 01/09520123456788/10/ABC1 --out lot.evidence
      hansa evidence export recall 1 --out recall.evidence --chain-id HEX
      hansa evidence export credit 7 --out credit.evidence --open-all
    """
    from cli.bundle.export import export as export_bundle
    from cli.opening_book import OpeningBook
    from cli.progress import Teller
    from node.code_cache import use_code_cache
    from node.keystore import write_whole

    use_code_cache()
    wanted = [_commitment(one) for one in opened]
    with open_client() as client, open_reader(genesis, chain_id) as reader:
        book = OpeningBook(client, folder)
        bundle, checked = export_bundle(
            client,
            reader,
            kind,
            subject,
            height=height,
            with_genesis=not without_genesis,
            with_code=with_code,
            openings=lambda found: _openings(book, wanted, found if open_all else None),
            say=Teller(),
        )
    write_whole(out, bundle.raw, mode=0o600 if bundle.openings else 0o644)
    header = checked.header
    told = {
        "file": str(out),
        "bytes": len(bundle.raw),
        "height": header.height,
        "transactions": len(bundle.told),
        "openings": len(bundle.openings),
        "checksum": bundle.checksum.hex(),
    }
    if current().json:
        output.print_json(told | {"chain_id": bundle.chain_id.hex()})
        return
    click.echo(output.fields(told))
    if bundle.openings:
        output.say("Whoever has this file can read what was opened.")
    click.echo(
        chain_line(bundle.chain_id.hex(), pinned=genesis is not None or chain_id is not None)
    )


def _commitment(text: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != 32:
        raise InputError("BAD_COMMITMENT", f"{text[:80]!r} is not 64 hex digits")
    return found


def _openings(book: OpeningBook, wanted: list[bytes], found: Any) -> list[tuple[bytes, bytes, Any]]:
    """Those that were named, and of all others in ``found`` those that are known here."""
    opened = {one: book.opening(one) for one in wanted}
    for one in _hashes(found):
        if one not in opened:
            try:
                opened[one] = book.opening(one)
            except InputError as error:
                if error.code != "OPENING_MISSING":
                    raise
    return [(one, salt, value) for one, (salt, value) in sorted(opened.items())]


def _hashes(value: Any) -> set[bytes]:
    """All that may be commitments."""
    if isinstance(value, bytes):
        return {value} if len(value) == 32 else set()
    parts = value.values() if isinstance(value, dict) else value
    return set().union(*map(_hashes, parts)) if isinstance(value, dict | list) else set()


@evidence.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@trust_options
@json_option
def verify(file: Path, genesis: Path | None, chain_id: str | None) -> None:
    """Check a file of `hansa evidence export`, and show what it proves. No node is asked.

    Give the chain's id, or its genesis document, from a source that you trust: else anybody could
    have made up the chain that the file is about. Ends with 1 for a file that proves nothing.

    \b
    Examples:
      hansa evidence verify lot.evidence --chain-id HEX
      hansa evidence verify recall.evidence --genesis genesis.json --json
    """
    import time

    from cli.bundle import form
    from cli.bundle.words import answered, shown, told_rows
    from genesis.document import GenesisDocument
    from node.code_cache import use_code_cache
    from node.keystore import read_limited

    use_code_cache()
    bundle = form.read(read_limited(file, form.BYTES_MAX, "evidence"))
    document = GenesisDocument.load(genesis) if genesis else form.genesis_of(bundle)
    if document is None:
        raise InputError("GENESIS_NEEDED", "the file has no genesis document: give --genesis FILE")
    require_chain(document, chain_id)
    checked = form.check(bundle, document, time.time_ns() // 1_000_000)
    found = answered(bundle, checked)
    pinned = genesis is not None or chain_id is not None
    if current().json:
        output.print_json(shown(bundle, checked, found, pinned=pinned))
        return
    _tell(bundle.kind, bundle.subject, checked, found, told_rows(checked, found))
    click.echo(chain_line(bundle.chain_id.hex(), pinned=pinned))


def _tell(
    kind: str, subject: str, checked: Checked, found: dict[str, Any], rows: list[tuple[Any, ...]]
) -> None:
    from cli.bundle.words import sentences

    header = checked.header
    click.echo(
        f"{kind} {subject}, as of block {header.height} ({output.when(header.time_ms)} UTC)\n"
    )
    for line in sentences(kind, found):
        click.echo(line)
    headers = ("block", "when (UTC)", "who", "what", "code", "transaction")
    click.echo("\n" + output.table(headers, rows))
    for commitment, value in checked.opened:
        click.echo(f"\nopened {output.short(commitment.hex())}: {value}")
    click.echo(f"\nProven by block {header.height}, sealed by {', '.join(checked.sealed_by)}")
