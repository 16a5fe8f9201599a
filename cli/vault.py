"""`hansa vault`: what stands behind commitments, kept at the own organisation's node."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import output
from cli.call import open_client
from cli.openings import openings_option
from cli.sending import send, timeout_option
from cli.settings import current, json_option, key_option, node_option
from consensus.primitives.crypto import public_key
from consensus.primitives.errors import InputError

if TYPE_CHECKING:
    from cli.client import Client

CONTRACT = "vault"
KEPT, MISSING, UNSHARED, FOREIGN = "KEPT", "MISSING", "UNSHARED", "FOREIGN"
# What the contract takes at once.
COMMITMENTS_MAX = 64


class Commitment(click.ParamType[bytes]):
    """32 bytes, in hexadecimal."""

    name = "commitment"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> bytes:
        if isinstance(value, bytes):
            return value
        if not re.fullmatch("[0-9a-fA-F]{64}", value):
            self.fail(f"{value!r} is not a commitment: 64 hexadecimal digits", param, ctx)
        return bytes.fromhex(value)


COMMITMENTS = click.argument(
    "commitments", metavar="COMMITMENT...", type=Commitment(), nargs=-1, required=True
)


@click.group()
def vault() -> None:
    """What stands behind commitments: kept encrypted at the own node, fetched, shared, erased.

    --node must be a node of the organisation whose --key it is.
    """


@vault.command("list")
@click.option("--missing", is_flag=True, help="Only those that the node asks others for.")
@key_option
@node_option
@json_option
def list_(missing: bool) -> None:
    """List the openings here and those that are missing, without their values.

    \b
    KEPT                 here, and shared on chain
    MISSING              the organisation is entitled to it, and the node asks the others for it
    UNSHARED             here, but no committed transaction has shared it
    FOREIGN              somebody shared a copy of the commitment first: it is given to nobody

    \b
    Example:
      hansa vault list --missing
    """
    from cli.vault_client import VaultClient

    rows = []
    with open_client() as client:
        for page in VaultClient(client, current().signing_seed()).pages():
            if not missing:
                rows += [_row(one, _state(one)) for one in page["openings"]]
            rows += [_row(one, MISSING) for one in page["missing"]]
            if page["unreadable"]:
                output.say(f"{page['unreadable']} files do not open: docs/operations.md")
    if current().json:
        output.print_json(rows)
    else:
        headers = ("commitment", "state", "author", "since", "organisations")
        click.echo(output.table(headers, [[row[name] for name in headers] for row in rows]))


def _state(one: dict[str, Any]) -> str:
    shared = one["shared"]
    if shared is None:
        return UNSHARED
    return KEPT if shared["author"] == one["author"] else FOREIGN


def _row(one: dict[str, Any], state: str) -> dict[str, Any]:
    shared = one["shared"] or {"author": one.get("author"), "organisations": [], "since_ms": None}
    since = shared["since_ms"] or one.get("since_ms")
    return {
        "commitment": one["commitment"],
        "state": state,
        "author": shared["author"],
        "since": output.when(since) if since else None,
        "organisations": shared["organisations"],
    }


@vault.command()
@click.argument("commitment", type=Commitment())
@key_option
@node_option
@json_option
def get(commitment: bytes) -> None:
    """Show what stands behind COMMITMENT.

    \b
    Example:
      hansa vault get 5f3a...
    """
    from cli.vault_client import VaultClient

    with open_client() as client:
        found = VaultClient(client, current().signing_seed()).get(commitment)
    output.print_json(found if current().json else found["value"])


@vault.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--author", default="", metavar="ORGANISATION",
              help="Who shared them first (default: the own organisation).")  # fmt: skip
@key_option
@node_option
@json_option
def put(file: Path, author: str) -> None:
    """Put openings into the vault, from a FILE that `hansa call` kept or that somebody handed over.

    \b
    Example:
      hansa vault put openings/9c1e....json
    """
    from cli.openings import read_openings
    from cli.vault_client import VaultClient

    openings = read_openings(file)
    with open_client() as client:
        new = VaultClient(client, current().signing_seed()).put(openings, author)
    _say({"openings": len(openings), "new": new})


@vault.command()
@COMMITMENTS
@click.option("--with", "organisations", multiple=True, required=True, metavar="ORGANISATION",
              help="Who is to know it, too; may be given several times.")  # fmt: skip
@timeout_option
@key_option
@node_option
@json_option
def share(commitments: tuple[bytes, ...], organisations: tuple[str, ...], timeout_s: int) -> None:
    """Entitle other organisations to openings, for good: their nodes fetch them.

    \b
    Example:
      hansa vault share 5f3a... --with 9521432000013
    """
    _check_count(commitments)
    args = {"commitments": list(commitments), "organisations": list(organisations)}
    with open_client() as client:
        send(client, current().signing_seed(), [(CONTRACT, "entitle", args)], timeout_s=timeout_s)
    _say({"shared": [one.hex() for one in commitments], "with": list(organisations)})


@vault.command()
@COMMITMENTS
@click.option("--reason", type=click.Choice(["REQUEST", "RETENTION", "MISTAKE", "OTHER"]),
              required=True, help="Why: it stands on chain.")  # fmt: skip
@openings_option
@timeout_option
@key_option
@node_option
@json_option
def erase(commitments: tuple[bytes, ...], reason: str, folder: Path | None, timeout_s: int) -> None:
    """Destroy openings at the own organisation's nodes and in the files beside the key.

    Then a signed receipt goes on chain, by which the organisation's other nodes destroy theirs.
    What nobody has shared on chain needs none. Other organisations keep what they have.

    \b
    Example:
      hansa vault erase 5f3a... --reason REQUEST
    """
    from cli.openings import forget_openings, openings_folder
    from cli.vault_client import VaultClient

    _check_count(commitments)
    seed = current().signing_seed()
    with open_client() as client:
        organisation = client.query("identity", "caller", {"key": public_key(seed)}).value
        owed = [one for one in commitments if _owes(client, one, organisation["organisation"])]
        here = VaultClient(client, seed).erase(commitments)
        files = forget_openings(folder or openings_folder(current().key), set(commitments))
        if owed:
            args = {"commitments": owed, "reason": reason}
            send(client, seed, [(CONTRACT, "erased", args)], timeout_s=timeout_s)
    _say({"erased_at_node": here, "erased_in_files": files, "receipts": len(owed)})


def _owes(client: Client, commitment: bytes, organisation: str) -> bool:
    """Whether an organisation that erases an opening says so on chain: it was entitled to it, and
    has not said so before."""
    found = client.query(CONTRACT, "entry", {"commitment": commitment}).value
    return (
        found is not None
        and organisation in found["entry"]["organisations"]
        and all(one["organisation"] != organisation for one in found["erased"])
    )


def _check_count(commitments: tuple[bytes, ...]) -> None:
    if len(commitments) > COMMITMENTS_MAX:
        raise InputError("BAD_ARGUMENT", f"at most {COMMITMENTS_MAX} commitments at once")


def _say(value: dict[str, Any]) -> None:
    if current().json:
        output.print_json(value)
    else:
        click.echo(output.fields(value))
