"""`hansa proof`: answers that a node need not be trusted for."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import output
from cli.call import open_client
from cli.settings import current, json_option, node_option
from consensus.primitives.codec import data_to_json
from consensus.primitives.errors import InputError

if TYPE_CHECKING:
    from cli.verifying import Reader, Verified
    from consensus.primitives.keys import Part
    from genesis.document import GenesisDocument


def trust_options(function: Any) -> Any:
    """--genesis and --chain-id"""
    function = click.option(
        "--chain-id", metavar="HEX", help="The chain, from a source you trust: 64 hex digits."
    )(function)
    return click.option(
        "--genesis",
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        help="The genesis document, from a source you trust (else the node's).",
    )(function)


def require_chain(document: GenesisDocument, chain_id: str | None) -> None:
    """Raises InputError WRONG_CHAIN where the document is another chain's than ``chain_id``."""
    if chain_id is not None and document.chain_id.hex() != chain_id.lower():
        raise InputError(
            "WRONG_CHAIN", f"the genesis document is of chain {document.chain_id.hex()}"
        )


@contextmanager
def open_reader(genesis: Path | None, chain_id: str | None) -> Iterator[Reader]:
    """A reader of the node that the settings name, on the chain that the user trusts.

    Raises InputError WRONG_CHAIN where the document is another chain's than ``chain_id``.
    """
    import json

    from cli.verifying import Reader
    from genesis.document import GenesisDocument

    with open_client() as client:
        if genesis is not None:
            document = GenesisDocument.load(genesis)
        else:
            raw = json.dumps(client.genesis()).encode()
            document = GenesisDocument.from_file_bytes(raw, "the node's genesis document")
        require_chain(document, chain_id)
        yield Reader(client, document, time.time_ns() // 1_000_000)


def _show(reader: Reader, at: Verified, told: dict[str, Any], text: str, pinned: bool) -> None:
    header = at.header
    if current().json:
        output.print_json(
            {
                "chain_id": header.chain_id.hex(),
                "height": header.height,
                "block_hash": header.digest.hex(),
                "block_time_ms": header.time_ms,
                "state_root": header.state_root.hex(),
                "sealed_by": at.sealed_by,
                **told,
            }
        )
        return
    click.echo(text)
    click.echo(
        f"\nProven by block {header.height} ({output.when(header.time_ms)} UTC),"
        f" sealed by {', '.join(at.sealed_by)}"
    )
    click.echo(chain_line(header.chain_id.hex(), pinned=pinned))


def chain_line(chain_id: str, *, pinned: bool) -> str:
    """Which chain it is, and on whose word."""
    trust = "" if pinned else ", by the node's own genesis document: give --chain-id to pin it"
    return f"Chain {chain_id}{trust}"


@click.group()
def proof() -> None:
    """Values, absences, whole maps, transactions and history, each with its proof checked here.

    The node need not be trusted, only the chain id: its hash is that of the genesis document, whose
    validators are followed to the block that proves the answer.

    \b
    Examples:
      hansa proof state batch lots 01/09520123456788/10/ABC1
      hansa proof state identity organisations --all
      hansa proof transaction TX_ID
      hansa proof history 10
    """


@proof.command()
@click.argument("contract")
@click.argument("map_name", metavar="MAP")
@click.argument("parts", nargs=-1)
@click.option("--all", "whole", is_flag=True, help="All keys that begin with these parts, none "
              "left out.")  # fmt: skip
@click.option("--height", type=click.IntRange(0), help="The state after this block, if the node "
              "still has it.")  # fmt: skip
@trust_options
@node_option
@json_option
def state(
    contract: str,
    map_name: str,
    parts: tuple[str, ...],
    whole: bool,
    height: int | None,
    genesis: Path | None,
    chain_id: str | None,
) -> None:
    """The value of a key of a contract's MAP, or that there is none.

    PARTS are those of the key, as the map declares them; int:5, hex:0a0b and hash:TEXT say what a
    part is where no built-in contract does.

    \b
    Examples:
      hansa proof state identity organisations 4012345000009
      hansa proof state recall recalls --all
    """
    from consensus.primitives.keys import encode_key, prefix_range
    from contracts.runtime.rehearsal import readable_key

    key_parts = _parts(contract, map_name, parts)
    with open_reader(genesis, chain_id) as reader:
        if whole:
            at, pairs = reader.range(*prefix_range(contract, map_name, key_parts), height)
            found = list(pairs)
        else:
            key = encode_key(contract, map_name, key_parts)
            at, shown = reader.state([key], height)
            value = _get(shown, key)
            found = [] if value is None else [(key, value)]
        rows = [(readable_key(key), _readable(value)) for key, value in found]
        told = {
            "complete": whole,
            "values": [
                {"key": key.hex(), "name": name, "value": value}
                for (key, _), (name, value) in zip(found, rows, strict=True)
            ],
        }
        if rows:
            text = output.table(("key", "value"), rows)
            text += f"\n\nThese are all: {len(rows)}" if whole else ""
        else:
            text = "There is none: proven absent"
        _show(reader, at, told, text, genesis is not None or chain_id is not None)


def _get(shown: Any, key: bytes) -> bytes | None:
    try:
        value: bytes | None = shown.get(key)
    except InputError as error:
        raise InputError("NOT_PROVEN", f"the node's answer: {error.message}") from None
    return value


def _readable(value: bytes) -> Any:
    from contracts.runtime.rehearsal import readable_value

    return readable_value(value)


def _parts(contract: str, map_name: str, words: Sequence[str]) -> tuple[Part, ...]:
    """The parts of a key, by the declaration of a built-in contract's map if there is one."""
    from contracts.runtime.registry import builtin_registry
    from contracts.sdk.records import plan_of
    from contracts.sdk.state import Index, Layout, Map

    module = builtin_registry().get(contract)
    declared = None if module is None else Layout(module.contract).declared.get(map_name)
    kinds: list[str] = []
    hashed: tuple[bool, ...] = ()
    if isinstance(declared, Map):
        record = None if declared.record is None else plan_of(declared.record).fields
        kinds = [type((record or {}).get(name)).__name__ for name in declared.key]
        hashed = declared.hashed
        if len(words) > len(declared.key):
            raise InputError("BAD_KEY", f"{map_name} has keys of {len(declared.key)} parts")
    elif isinstance(declared, Index):
        hashed = tuple(declared.hashed)
    return tuple(
        _part(word, kinds[at] if at < len(kinds) else "", at < len(hashed) and hashed[at])
        for at, word in enumerate(words)
    )


def _part(word: str, kind: str, hashed: bool) -> Part:
    from consensus.primitives.keys import digest_part

    form, _, rest = word.partition(":")
    if form == "hash" and rest:
        return digest_part(rest)
    part: Part = word
    try:
        if form == "int" or kind in ("Int", "Moment"):
            part = int(rest if form == "int" else word)
        elif form == "hex" or kind == "Blob":
            part = bytes.fromhex(rest if form == "hex" else word)
    except ValueError:
        raise InputError("BAD_KEY", f"{word!r} is no number, or no hex") from None
    return digest_part(part) if hashed else part


@proof.command()
@click.argument("tx_id")
@trust_options
@node_option
@json_option
def transaction(tx_id: str, genesis: Path | None, chain_id: str | None) -> None:
    """That a transaction stands in a block, and what came of it.

    \b
    Examples:
      hansa proof transaction TX_ID --chain-id HEX
    """
    try:
        raw_id = bytes.fromhex(tx_id)
    except ValueError:
        raise InputError("BAD_TX_ID", "a transaction id is 64 hex digits") from None
    with open_reader(genesis, chain_id) as reader:
        at, tx, receipt = reader.transaction(raw_id)
        told = {
            "tx_id": tx.tx_id.hex(),
            "sender": tx.body.sender.hex(),
            "calls": [f"{call.contract}.{call.method}" for call in tx.body.calls],
            "code": receipt.code,
            "detail": receipt.detail,
            "events": [f"{event.contract}.{event.name}" for event in receipt.events],
            "result": data_to_json(receipt.result),
        }
        pinned = genesis is not None or chain_id is not None
        _show(reader, at, told, output.fields(told), pinned)


@proof.command()
@click.argument("position")
@trust_options
@node_option
@json_option
def event(position: str, genesis: Path | None, chain_id: str | None) -> None:
    """That an event was told; POSITION is HEIGHT.TRANSACTION.EVENT.

    \b
    Examples:
      hansa proof event 7.0.2
    """
    numbers = position.split(".")
    if len(numbers) != 3 or not all(one.isdecimal() for one in numbers):
        raise InputError("BAD_POSITION", "a position is HEIGHT.TRANSACTION.EVENT")
    height, index, number = map(int, numbers)
    with open_reader(genesis, chain_id) as reader:
        at, found = reader.event((height, index, number))
        told = {
            "transaction": index,
            "event": f"{found.contract}.{found.name}",
            "fields": data_to_json(found.fields),
        }
        pinned = genesis is not None or chain_id is not None
        _show(reader, at, told, output.fields(told), pinned)


@proof.command()
@click.argument("old", type=click.IntRange(0))
@click.argument("new", type=click.IntRange(1), required=False)
@trust_options
@node_option
@json_option
def history(old: int, new: int | None, genesis: Path | None, chain_id: str | None) -> None:
    """That block OLD stands in the history of block NEW, or the newest, which only grew since.

    \b
    Examples:
      hansa proof history 10 200
    """
    with open_reader(genesis, chain_id) as reader:
        at, older = reader.history(old, new)
        told = {
            "old_height": older.height,
            "old_hash": older.digest.hex(),
            "old_state_root": older.state_root.hex(),
        }
        pinned = genesis is not None or chain_id is not None
        _show(reader, at, told, output.fields(told), pinned)


@proof.command()
@click.argument("height", type=click.IntRange(1), required=False)
@trust_options
@node_option
@json_option
def header(height: int | None, genesis: Path | None, chain_id: str | None) -> None:
    """The header of a block (else of the newest), and who sealed it.

    \b
    Examples:
      hansa proof header 7 --genesis genesis.json
    """
    with open_reader(genesis, chain_id) as reader:
        at = reader.header(height)
        told = {"header": at.header.to_json()}
        pinned = genesis is not None or chain_id is not None
        _show(reader, at, told, output.fields(told["header"]), pinned)
