"""What every command may be told: the node, the key, the passphrase, the form of the output.

The options may stand before the command or after it; each takes a default from the environment.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from consensus.primitives.errors import InputError

F = TypeVar("F", bound=Callable[..., Any])

DEVNET_FOLDER: Final = Path("build/devnet")
DEVNET_FILE: Final = "devnet.json"
DEFAULT_NODE: Final = "http://127.0.0.1:27001"


@dataclass
class Settings:
    """Filled by the shared options while click reads the command line."""

    node_url: str | None = None
    key: Path | None = None
    passphrase_file: Path | None = None
    json: bool = False

    def node(self) -> str:
        """The node's URL: as told, else node 1 of the devnet in this folder, else the default."""
        if self.node_url is not None:
            return self.node_url.rstrip("/")
        try:
            value = json.loads((DEVNET_FOLDER / DEVNET_FILE).read_bytes())
            return f"http://127.0.0.1:{int(value['nodes'][0]['api_port'])}"
        except (OSError, ValueError, KeyError, IndexError, TypeError):
            return DEFAULT_NODE

    def passphrase(self, question: str = "Passphrase", *, confirm: bool = False) -> str:
        """From --passphrase-file, the environment, or asked for at the terminal."""
        from node.keystore import find_passphrase

        def ask() -> str:
            answer: str = click.prompt(
                question, hide_input=True, confirmation_prompt=confirm, err=True
            )
            return answer

        return find_passphrase(self.passphrase_file, prompt=ask if sys.stdin.isatty() else None)

    def signing_seed(self) -> bytes:
        """The seed in the file of --key. Raises InputError KEY_MISSING and those of the file."""
        from node.keystore import load_key

        if self.key is None:
            raise InputError("KEY_MISSING", "no key to sign with: give --key FILE or HANSA_KEY")
        return load_key(self.key, self.passphrase(f"Passphrase of {self.key}"))


def current() -> Settings:
    """The settings of the running command."""
    settings = click.get_current_context().find_object(Settings)
    assert settings is not None, "commands run below cli.main"
    return settings


def _keep(field: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(ctx: click.Context, _parameter: click.Parameter, value: Any) -> None:
        # The option is known to the group and to the command: the one that is given counts.
        if value is not None and value is not False:
            settings = ctx.ensure_object(Settings)
            setattr(settings, field, value)

    return callback


def json_option(function: F) -> F:
    """--json"""
    return click.option(
        "--json",
        is_flag=True,
        expose_value=False,
        callback=_keep("json"),
        help="Print JSON, errors too.",
    )(function)


def node_option(function: F) -> F:
    """--node"""
    return click.option(
        "--node",
        metavar="URL",
        envvar="HANSA_NODE",
        expose_value=False,
        callback=_keep("node_url"),
        help="The node's HTTP API (HANSA_NODE; default: the devnet's node 1).",
    )(function)


def passphrase_option(function: F) -> F:
    """--passphrase-file"""
    return click.option(
        "--passphrase-file",
        type=click.Path(path_type=Path, dir_okay=False),
        expose_value=False,
        callback=_keep("passphrase_file"),
        help="File with the passphrase in its first line (or HANSA_PASSPHRASE[_FILE]).",
    )(function)


def key_option(function: F) -> F:
    """--key and --passphrase-file"""
    return passphrase_option(
        click.option(
            "--key",
            type=click.Path(path_type=Path, dir_okay=False),
            envvar="HANSA_KEY",
            expose_value=False,
            callback=_keep("key"),
            help="The key file to sign with (HANSA_KEY).",
        )(function)
    )
