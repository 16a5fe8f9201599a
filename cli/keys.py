"""`hansa keys`: keys at home, encrypted."""

from __future__ import annotations

from pathlib import Path

import click

from cli import output
from cli.settings import current, json_option, passphrase_option

FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def keys() -> None:
    """Make, show and export keys.

    Three kinds: an account signs transactions for its organisation, a network key names a node to
    its peers, a consensus key signs a validator's votes. `--kind validator` makes a consensus key
    together with the vote log that it must never be used without.
    """


@keys.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--kind", type=click.Choice(["account", "network", "validator"]), default="account",
              show_default=True, help="What it is for.")  # fmt: skip
@click.option("--name", help="A label inside the file (default: from the file's name).")
@passphrase_option
@json_option
def new(path: Path, kind: str, name: str | None) -> None:
    """Make a new key at PATH: a file, or for --kind validator the node's data folder.

    \b
    Examples:
      hansa keys new ~/keys/acme-admin.key.json
      hansa keys new --kind validator ./node1
    """
    from node.keystore import create_key

    settings = current()
    if kind == "validator":
        from node.setup import make_validator_key

        name = name or path.resolve().name
        passphrase = settings.passphrase(confirm=True)
        file, info = make_validator_key(path, passphrase, name=name)
    else:
        name = name or path.name.removesuffix(".json").removesuffix(".key")
        passphrase = settings.passphrase(confirm=True)
        file, info = path, create_key(path, passphrase, kind=kind, name=name)
    if settings.json:
        output.print_json({"file": str(file), **info.to_json()})
    else:
        click.echo(output.fields({"file": file, **info.to_json()}))


@keys.command()
@click.argument("file", type=FILE)
@json_option
def show(file: Path) -> None:
    """Show the public part of a key FILE; needs no passphrase.

    \b
    Example:
      hansa keys show ~/keys/acme-admin.key.json
    """
    from node.keystore import key_info

    info = key_info(file).to_json()
    if current().json:
        output.print_json(info)
    else:
        click.echo(output.fields(info))


@keys.command()
@click.argument("file", type=FILE)
@click.option("--secret", is_flag=True, help="The secret seed, in clear: for moving it elsewhere.")
@passphrase_option
@json_option
def export(file: Path, secret: bool) -> None:
    """Print the public key of FILE as hex, or with --secret its secret seed.

    \b
    Examples:
      hansa keys export acme.key.json
      hansa keys export --secret acme.key.json > /media/safe/acme.seed
    """
    from node.keystore import key_info, load_key

    settings = current()
    value = key_info(file).key.hex()
    if secret:
        output.say("This is the secret itself: whoever reads it can sign in your name.")
        value = load_key(file, settings.passphrase(f"Passphrase of {file}")).hex()
    if settings.json:
        output.print_json({"secret_seed" if secret else "public_key": value})
    else:
        click.echo(value)
