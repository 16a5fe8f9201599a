"""`hansa node`: prepare and run one node."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from cli import output
from cli.settings import current, json_option, passphrase_option
from consensus.primitives.errors import InputError
from node.config import FILE_NAME, SECTIONS, NodeConfig, load

F = TypeVar("F", bound=Callable[..., Any])

FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group()
def node() -> None:
    """Prepare and run a node."""


@node.command()
@click.argument("folder", type=FOLDER)
@click.option("--role", type=click.Choice(["validator", "full"]), default="validator",
              show_default=True)  # fmt: skip
@click.option("--name", help="The node's name (default: the folder's).")
@click.option("--listen", help="ip:port for peers.")
@click.option("--api-listen", help="ip:port of the HTTP API.")
@click.option("--genesis", "genesis_file", type=click.Path(path_type=Path, dir_okay=False),
              help="The sealed genesis document, to be copied in.")  # fmt: skip
@passphrase_option
@json_option
def init(
    folder: Path, role: str, name: str | None, listen: str | None, api_listen: str | None,
    genesis_file: Path | None,
) -> None:  # fmt: skip
    """Make a node's data FOLDER: keys, vote log, config.toml. What is there already stays.

    Run it again with --genesis once the consortium has sealed its document.

    \b
    Examples:
      hansa node init ./node1 --name acme-1 --listen 0.0.0.0:8630
      hansa node init ./node1 --genesis genesis.json
    """
    from genesis.document import GenesisDocument
    from node.keystore import check_name, write_whole
    from node.setup import CONSENSUS_KEY, GENESIS, NETWORK_KEY, VAULT_KEY, init_folder

    settings = current()
    name = check_name(name or folder.resolve().name)
    document = None if genesis_file is None else GenesisDocument.load(genesis_file)
    config: dict[str, dict[str, Any]] = {"node": {"role": role, "name": name}}
    if listen:
        config["network"] = {"listen": listen}
    if api_listen:
        config["api"] = {"listen": api_listen}
    _check_settings(config)
    wanted = [NETWORK_KEY, VAULT_KEY, *([CONSENSUS_KEY] if role == "validator" else [])]
    complete = all((folder / file).exists() for file in wanted)
    passphrase = "" if complete else settings.passphrase("New passphrase", confirm=True)
    keys = init_folder(folder, passphrase, name=name, validator=role == "validator", config=config)
    if document is not None:
        target = folder / GENESIS
        if target.exists() and GenesisDocument.load(target).chain_id != document.chain_id:
            raise InputError("FILE_EXISTS", f"{target} is the document of another chain")
        write_whole(target, document.file_bytes, mode=0o644, replace=True)
        known = document.node_of(keys["network"].key)
        if known is None:
            output.say(
                "This node's network key is not in the genesis document: its peers speak with it"
                " when it has been admitted by vote (hansa governance add-node)"
            )
    load(folder, env={}, check_files=document is not None)
    summary = {"folder": str(folder), "role": role}
    summary |= {f"{kind}_key": info.key.hex() for kind, info in keys.items()}
    summary["chain_id"] = document.chain_id.hex() if document else ""
    if settings.json:
        output.print_json(summary)
    else:
        click.echo(output.fields(summary))


@node.command()
@click.argument("folder", type=FOLDER)
@click.option("--finish", is_flag=True, help="Put the new key in the old one's place.")
@passphrase_option
@json_option
def rotate(folder: Path, finish: bool) -> None:
    """Make the next consensus key of the validator in FOLDER, or finish its rotation.

    \b
    Example, all of a rotation:
      hansa node rotate ./node1                              # makes the next key beside the old
      (start the node again: it holds both, and votes with the one that the chain names)
      hansa governance rotate-validator NAME --consensus-key NEW_KEY   # proposed and voted
      hansa node rotate ./node1 --finish                     # with the node stopped, once in force
    """
    from node.keystore import key_info
    from node.setup import finish_rotation, make_validator_key

    settings = current()
    if finish:
        key = finish_rotation(folder, load(folder, env={}, check_files=False).consensus_key_path)
        summary = {"folder": str(folder), "consensus_key": key.hex()}
    else:
        name = key_info(load(folder, env={}, check_files=False).consensus_key_path).name
        passphrase = settings.passphrase(f"Passphrase of {folder}")
        path, info = make_validator_key(folder, passphrase, name=name, successor=True)
        summary = {"folder": str(folder), "key_file": str(path), "next_key": info.key.hex()}
    if settings.json:
        output.print_json(summary)
    else:
        click.echo(output.fields(summary))


def _check_settings(config: dict[str, dict[str, Any]]) -> None:
    """Find mistakes before anything is written. Raises InputError CONFIG_INVALID."""
    flags = {f"{part}.{key}": one for part, table in config.items() for key, one in table.items()}
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / FILE_NAME).touch()
        load(Path(scratch), env={}, flags=flags, check_files=False)


def _setting_options(function: F) -> F:
    """A flag for each setting of the node's configuration."""
    for section, model in reversed(SECTIONS.items()):
        for key, field in reversed(model.model_fields.items()):
            if (section, key) == ("node", "passphrase_file"):
                continue  # --passphrase-file is everywhere the same
            flag = f"--{section}-{key}".replace("_", "-")
            function = click.option(
                flag, f"{section}__{key}", metavar="VALUE", help=field.description
            )(function)
    return function


@node.command()
@click.option("--data", type=FOLDER, required=True, help="The node's data folder.")
@click.option("--vote-from", type=click.IntRange(1), metavar="HEIGHT",
              help="Vote from HEIGHT on though the vote log was lost. Only when so many validators"
              " lost theirs that they can't tell each other what was signed.")  # fmt: skip
@_setting_options
@passphrase_option
@json_option
def run(data: Path, vote_from: int | None, **flags: str | None) -> None:
    """Run the node in a data folder until SIGTERM or Ctrl-C.

    Settings come from its config.toml, then HANSA_SECTION_SETTING in the environment, then flags.

    \b
    Example:
      hansa node run --data ./node1 --log-format console
    """
    config, passphrase = _opened(data, flags)
    from node.app import run_node

    run_node(config, passphrase, vote_from=vote_from)


def _opened(data: Path, flags: dict[str, str | None]) -> tuple[NodeConfig, str]:
    """A node's settings and its keys' passphrase, asked for if need be."""
    from node.keystore import find_passphrase

    settings = current()
    if settings.passphrase_file is not None:
        flags["node__passphrase_file"] = str(settings.passphrase_file.resolve())
    config = load(data, flags={name.replace("__", "."): text for name, text in flags.items()})

    def ask() -> str:
        answer: str = click.prompt(f"Passphrase of {data}", hide_input=True, err=True)
        return answer

    return config, find_passphrase(
        config.passphrase_path, prompt=ask if sys.stdin.isatty() else None
    )


@node.command()
@click.option("--data", type=FOLDER, required=True, help="The node's data folder.")
@click.option("--block-hash", metavar="HEX", help="Only a snapshot of this block, from a source "
              "you trust.")  # fmt: skip
@_setting_options
@passphrase_option
@json_option
def join(data: Path, block_hash: str | None, **flags: str | None) -> None:
    """Make a new node's store from a snapshot that its peers have, instead of all blocks.

    Everything is checked by the genesis document and the seals of the validators that it leads to.
    What is fetched stays: run it again after an interruption. Then `hansa node run`.

    \b
    Examples:
      hansa node join --data ./node6
      hansa node join --data ./node6 --block-hash 5f0c...
    """
    config, passphrase = _opened(data, flags)
    wanted = None
    if block_hash is not None:
        try:
            wanted = bytes.fromhex(block_hash)
        except ValueError:
            wanted = b""
        if len(wanted) != 32:
            raise click.UsageError("--block-hash is 64 hex digits")
    from cli.progress import Teller
    from node.join import run_join

    found = run_join(config, passphrase, Teller(), block_hash=wanted)
    told = {
        "height": found.height,
        "block_hash": found.sealed.header.digest.hex(),
        "blocks_from": found.first,
        "bytes": sum(one.size for one in found.chunks),
    }
    if current().json:
        output.print_json(told)
    else:
        click.echo(output.fields(told))
        output.say(f"Now start it: hansa node run --data {data}")
