"""`hansa genesis`: founding a consortium."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli import output
from cli.settings import current, json_option, passphrase_option
from consensus.primitives.errors import InputError

if TYPE_CHECKING:
    from consensus.params import Params
    from genesis.document import GenesisDocument

T = TypeVar("T")

FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group()
def genesis() -> None:
    """Found a consortium: draft, entries, seals.

    \b
    The ceremony, each organisation at home:
      hansa genesis new genesis.json --name pharma-trade     # one of them, sent to all
      hansa node init ./node1 --role validator               # each
      hansa keys new admin.key.json                          # each
      hansa genesis join genesis.json --data ./node1 ...     # each, the entry sent to the one
      hansa genesis add genesis.json entry-*.json            # the one, the result sent to all
      hansa genesis seal genesis.json --data ./node1         # each validator
      hansa genesis seal genesis.json --merge from-*.json    # the one, the result sent to all
    """


@genesis.command()
@click.argument("file", type=FILE)
@click.option("--name", required=True, help="The consortium's name.")
@click.option("--params", "params_file", type=FILE, help="TOML file of parameters.")
@click.option("--param", "assignments", multiple=True, metavar="NAME=VALUE",
              help="One parameter; repeatable.")  # fmt: skip
@click.option("--time", "time_text", help="Time of block 0, ISO 8601 (default: now).")
@json_option
def new(
    file: Path, name: str, params_file: Path | None, assignments: tuple[str, ...],
    time_text: str | None,
) -> None:  # fmt: skip
    """Start a draft FILE with nobody in it, and with the source of this release's contracts.

    \b
    Example:
      hansa genesis new genesis.json --name pharma-trade --param min_block_interval_ms=200
    """
    from contracts.runtime.registry import builtin_packages
    from genesis.ceremony import new_draft
    from genesis.reading import parse_time
    from node.keystore import check_name, write_whole

    def time_given() -> int:
        try:
            return time.time_ns() // 1_000_000 if time_text is None else parse_time(time_text)
        except ValueError:
            raise InputError("TIME_INVALID", f"{time_text!r}: not 2026-01-31T12:00:00Z") from None

    mistakes: list[InputError] = []
    _gathered(mistakes, lambda: check_name(name))
    params = _gathered(mistakes, lambda: _params(params_file, assignments))
    time_ms = _gathered(mistakes, time_given)
    if len(mistakes) > 1:
        raise InputError("GENESIS_INVALID", "; ".join(map(str, mistakes)))
    if params is None or time_ms is None or mistakes:
        raise mistakes[0]
    document = new_draft(name, time_ms, params, builtin_packages())
    write_whole(file, document.file_bytes, mode=0o644)
    _report(file, document)


@genesis.command()
@click.argument("draft", type=FILE)
@click.option("--organisation", required=True, metavar="ID", help="GLN, LEI or BIC.")
@click.option("--organisation-name", required=True)
@click.option("--role", "roles", multiple=True, help="Trade role, e.g. manufacturer; repeatable.")
@click.option("--admin-key", type=FILE, required=True,
              help="Key of the organisation's first administrator.")  # fmt: skip
@click.option("--data", type=FOLDER, help="Data folder of the node to enter, if any.")
@click.option("--node-name", help="Its name (default: its network key's label).")
@click.option("--address", "addresses", multiple=True, metavar="HOST:PORT",
              help="Where peers reach it; repeatable.")  # fmt: skip
@click.option("--out", type=FILE, required=True, help="The entry's file.")
@passphrase_option
@json_option
def join(
    draft: Path, organisation: str, organisation_name: str, roles: tuple[str, ...],
    admin_key: Path, data: Path | None, node_name: str | None, addresses: tuple[str, ...],
    out: Path,
) -> None:  # fmt: skip
    """Write the entry of your organisation, and of a node of it, for DRAFT.

    The node is entered as a validator when its data folder holds a consensus key. All keys named
    in the entry sign it.

    \b
    Example:
      hansa genesis join genesis.json --organisation 4012345000009 \\
          --organisation-name "Acme Pharma" --role manufacturer --admin-key admin.key.json \\
          --data ./node1 --address node.acme.example:27000 --out entry-acme.json
    """
    from genesis.ceremony import Entry
    from genesis.document import (
        GenesisDocument,
        GenesisOrganisation,
        GenesisPeer,
        GenesisValidator,
        address_mistake,
        organisation_id_mistake,
    )
    from node.keystore import check_name, key_info, load_key, write_whole
    from node.setup import CONSENSUS_KEY, NETWORK_KEY

    document = GenesisDocument.load(draft, stage="draft")
    wrong = [organisation_id_mistake(organisation), *map(address_mistake, addresses)]
    if mistakes := [one for one in wrong if one]:
        raise InputError("ENTRY_INVALID", "; ".join(mistakes))
    files = {"admin": admin_key}
    validator = peer = None
    if data is not None:
        files["network"] = data / NETWORK_KEY
        network = key_info(files["network"])
        node_name = check_name(node_name or network.name)
        if (data / CONSENSUS_KEY).exists():
            files["consensus"] = data / CONSENSUS_KEY
            consensus = key_info(files["consensus"])
            validator = GenesisValidator(
                node_name, organisation, consensus.key, network.key, addresses
            )
        else:
            peer = GenesisPeer(node_name, organisation, "full", network.key, addresses)
    member = GenesisOrganisation(
        organisation, organisation_name, tuple(sorted(set(roles))), key_info(admin_key).key
    )
    passphrase = _Passphrase()
    seeds = {role: load_key(file, passphrase.of(file)) for role, file in files.items()}
    entry = Entry(document.name, member, validator, peer, {}).signed(seeds)
    write_whole(out, entry.file_bytes, mode=0o644)
    summary = {"entry": str(out), "consortium": document.name, "organisation": organisation,
               "node": node_name, "signed by": list(entry.signatures)}  # fmt: skip
    if current().json:
        output.print_json(summary)
    else:
        click.echo(output.fields(summary))


@genesis.command()
@click.argument("draft", type=FILE)
@click.argument("entries", type=FILE, nargs=-1, required=True)
@json_option
def add(draft: Path, entries: tuple[Path, ...]) -> None:
    """Add ENTRIES to DRAFT. Either all are added or none.

    \b
    Example:
      hansa genesis add genesis.json entry-*.json
    """
    from genesis.ceremony import Entry, add_entry
    from genesis.document import GenesisDocument
    from node.keystore import write_whole

    document = GenesisDocument.load(draft, stage="draft")
    for path in entries:
        document = add_entry(document, Entry.load(path))
    write_whole(draft, document.file_bytes, mode=0o644, replace=True)
    _report(draft, document)


@genesis.command()
@click.argument("file", type=FILE)
@click.option("--data", type=FOLDER, help="Data folder with your validator's consensus key.")
@click.option("--merge", "copies", type=FILE, multiple=True,
              help="A copy that another validator sealed; repeatable.")  # fmt: skip
@passphrase_option
@json_option
def seal(file: Path, data: Path | None, copies: tuple[Path, ...]) -> None:
    """Sign the document in FILE as a validator, or merge the seals of its copies.

    Look at it first (hansa genesis show): a seal says that your organisation agrees to all of it.

    \b
    Examples:
      hansa genesis seal genesis.json --data ./node1
      hansa genesis seal genesis.json --merge from-acme.json --merge from-bolt.json
    """
    from genesis import ceremony
    from genesis.build import check_start
    from genesis.document import GenesisDocument
    from node.keystore import load_key, write_whole
    from node.setup import CONSENSUS_KEY

    if data is None and not copies:
        raise click.UsageError("give --data to seal, or --merge to collect seals")
    document = GenesisDocument.load(file, stage="complete")
    if data is not None:
        check_start(document)
        path = data / CONSENSUS_KEY
        document = ceremony.seal(document, load_key(path, _Passphrase().of(path)))
    others = [GenesisDocument.load(copy, stage="complete") for copy in copies]
    document = ceremony.merge_seals(document, others)
    write_whole(file, document.file_bytes, mode=0o644, replace=True)
    _report(file, document)


@genesis.command()
@click.argument("file", type=FILE)
@click.option("--unsealed", is_flag=True, help="Don't ask for seals yet.")
@json_option
def validate(file: Path, unsealed: bool) -> None:
    """Check FILE and name every mistake in it.

    \b
    Example:
      hansa genesis validate genesis.json
    """
    from genesis.build import check_start
    from genesis.document import GenesisDocument

    document = GenesisDocument.load(file, stage="complete" if unsealed else "sealed")
    check_start(document)
    _report(file, document)


@genesis.command()
@click.argument("file", type=FILE)
@click.option("--source", metavar="NAME", help="Print the source of this contract.")
@json_option
def show(file: Path, source: str | None) -> None:
    """Show the document in FILE, draft or sealed. With --source NAME a contract's source.

    \b
    Examples:
      hansa genesis show genesis.json
      hansa genesis show genesis.json --source batch
    """
    from genesis.document import GenesisDocument

    document = GenesisDocument.load(file, stage="draft")
    if source is not None:
        found = next((one for one in document.packages if one.name == source), None)
        if found is None:
            raise InputError("UNKNOWN_CONTRACT", f"{file} has no contract {source}")
        click.echo("\n".join(f"# --- {one.path}\n{one.text}" for one in found.files))
        return
    if current().json:
        output.print_json(document.to_json())
        return
    seals = {seal.validator for seal in document.seals}
    value = document.to_json()
    click.echo(output.fields({name: value[name] for name in ("name", "time", "chain_id")}))
    click.echo()
    click.echo(
        output.table(
            ("organisation", "name", "roles", "admin key"),
            [
                (one.id, one.name, one.roles, output.short(one.admin_key.hex()))
                for one in document.organisations
            ],
        )
    )
    click.echo()
    rows: list[tuple[Any, ...]] = [
        (one.name, "validator", one.organisation, one.addresses, one.name in seals)
        for one in document.validators
    ]
    rows += [(one.name, one.kind, one.organisation, one.addresses, None) for one in document.peers]
    click.echo(output.table(("node", "kind", "organisation", "addresses", "sealed"), rows))
    click.echo()
    click.echo(
        output.table(
            ("contract", "version", "runtime", "files", "bytes", "sha256"),
            [
                (
                    one.name,
                    one.version,
                    one.runtime,
                    [file.path for file in one.files],
                    one.size,
                    output.short(one.digest.hex()),
                )
                for one in document.packages
            ],
        )
    )
    click.echo()
    click.echo(output.fields(value["params"]))


def _gathered(mistakes: list[InputError], make: Callable[[], T]) -> T | None:
    """What ``make`` gives, or None and one mistake more."""
    try:
        return make()
    except InputError as error:
        mistakes.append(error)
        return None


class _Passphrase:
    """Asked for once: one ceremony's files share a passphrase."""

    def __init__(self) -> None:
        self._given: str | None = None

    def of(self, path: Path) -> str:
        if self._given is None:
            self._given = current().passphrase(f"Passphrase of {path}")
        return self._given


def _params(file: Path | None, assignments: tuple[str, ...]) -> Params:
    """From a TOML file and NAME=VALUE. Raises InputError PARAMS_INVALID with all mistakes."""
    from consensus.params import Params
    from consensus.primitives.codec import UInt
    from consensus.primitives.errors import CodecError
    from node.keystore import read_limited

    values: dict[str, Any] = {}
    mistakes = []
    if file is not None:
        try:
            values = tomllib.loads(read_limited(file, 64 << 10, "parameters").decode())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError("PARAMS_INVALID", f"{file}: not TOML: {error}") from None
    kinds = dict(Params.kinds())
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            mistakes.append(f"{assignment!r} is not NAME=VALUE")
        elif isinstance(kinds.get(name), UInt) and text.isascii() and text.isdigit():
            values[name] = int(text[:32])
        else:
            values[name] = text
    good = {}
    for name, value in values.items():
        if name not in kinds:
            mistakes.append(f"{name}: is not one of {', '.join(kinds)}")
            continue
        try:
            good[name] = kinds[name].check(value)
        except CodecError as error:
            mistakes.append(f"{name}: {error.message}")
    params = Params(**good)
    if mistakes := mistakes + params.mistakes():
        raise InputError("PARAMS_INVALID", "; ".join(mistakes))
    return params


def _report(file: Path, document: GenesisDocument) -> None:
    summary = {
        "file": str(file),
        "name": document.name,
        "chain_id": document.chain_id.hex(),
        "organisations": len(document.organisations),
        "validators": len(document.validators),
        "peers": len(document.peers),
        "seals": len(document.seals),
        "sealed": bool(document.validators) and document.sealed,
    }
    if current().json:
        output.print_json(summary)
    else:
        click.echo(output.fields(summary))
