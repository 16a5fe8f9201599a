"""`hansa credit`: terms and documents as files, SWIFT messages, a credit at a glance."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from cli import output
from cli.openings import openings_option
from cli.sending import timeout_option
from cli.settings import current, json_option, key_option, node_option
from consensus.primitives.errors import InputError

if TYPE_CHECKING:
    from cli.client import Client
    from cli.mt.message import Message

F = TypeVar("F", bound=Callable[..., Any])
CONTRACT: Final = "credit"
FILE_BYTES_MAX: Final = 1 << 20
DOCUMENT_BYTES_MAX: Final = 64 << 20
STEPS_MAX: Final = 2_000_000
_FILE = click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
_NUMBER = click.argument("number", type=click.IntRange(1))
_PRESENTATION = click.argument("presentation", type=click.IntRange(1))


@click.group()
def credit() -> None:
    """Letters of credit: terms, documents and messages as files. See docs/spec/credit.md

    \b
    Everything else is plain calls, and checks over the own node's vault:
      hansa call credit
      hansa check credit examine number=12 presentation=1 --record
    """


def sending(function: F) -> F:
    """What every command that sends a call may be told."""
    for option in (json_option, node_option, key_option, openings_option, timeout_option):
        function = option(function)
    return function


# --- files ---------------------------------------------------------------------------------------


def read_values(file: Path) -> tuple[Message | None, Any]:
    """A file's one SWIFT message with what it says, or None and the file's JSON.

    Raises InputError MT_JSON, and MT_INVALID with every error of a message.
    """
    from cli.mt.message import read_messages
    from cli.mt.rules import check as findings_of
    from cli.mt.saying import said
    from node.keystore import read_limited

    raw = read_limited(file, FILE_BYTES_MAX, "terms or documents")
    if not raw.lstrip().startswith(b"{1:"):
        try:
            return None, json.loads(raw)
        except (ValueError, RecursionError):
            raise InputError("MT_JSON", f"{file} is neither JSON nor a SWIFT message") from None
    reads = read_messages(raw)
    wrong = [f"{one.field or '-'}: {one.code}: {one.message}" for one in findings_of(reads[0])]
    if len(reads) != 1:
        wrong.append(f"{len(reads)} messages, not one")
    message = reads[0].message
    if wrong or message is None:
        raise InputError("MT_INVALID", f"{file}: {'; '.join(wrong)}")
    return message, said(message)


def documents_of(value: Any, beside: Path) -> dict[str, Any]:
    """The arguments of a presentation, from a file with drawing, documents and perhaps bills. A
    document's ``file`` stands for its digest. Raises InputError BAD_DOCUMENTS."""
    from consensus.primitives.crypto import sha256
    from node.keystore import read_limited

    try:
        documents = []
        for one in value["documents"]:
            document = dict(one)
            if "file" in document:
                path = beside / document.pop("file")
                digest = sha256(read_limited(path, DOCUMENT_BYTES_MAX, "document"))
                document["digest"] = {"hex": digest.hex()}
            documents.append(document)
        found = {"drawing": value["drawing"], "documents": documents}
        return found | ({"bills": value["bills"]} if "bills" in value else {})
    except (KeyError, TypeError, ValueError):
        text = "a presentation has a drawing, and documents with a type and a file or digest"
        raise InputError("BAD_DOCUMENTS", text) from None


def words_of(args: Mapping[str, Any]) -> list[str]:
    """Arguments as `hansa call` takes them."""
    return [
        f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in args.items()
        if value is not None
    ]


def _send(
    client: Client, method: str, args: Mapping[str, Any], timeout_s: int, folder: Path | None
) -> Any:
    """A call that takes effect; its result. Raises Refused."""
    from cli.arguments import parse_arguments
    from cli.call import send_parsed

    parsed = parse_arguments(client.contracts(), CONTRACT, method, "call", words_of(args))
    outcome, result = send_parsed(
        client, CONTRACT, method, parsed, timeout_s=timeout_s, steps_max=STEPS_MAX, folder=folder
    )
    outcome.require()
    return result


def _say(value: dict[str, Any]) -> None:
    if current().json:
        output.print_json(value)
    else:
        click.echo(output.fields(value))


# --- terms and amendments ------------------------------------------------------------------------


@credit.command()
@_FILE
@click.option("--issuer", required=True, help="The bank that is to issue it.")
@click.option("--beneficiary", required=True, help="In whose favour.")
@click.option("--advising", default="", help="The bank that advises it (default: the issuer).")
@click.option("--nominated", default="", help="The bank with which it is available, too.")
@click.option("--confirm", is_flag=True, help="Ask the nominated bank to add its confirmation.")
@sending
def apply(
    file: Path,
    issuer: str,
    beneficiary: str,
    advising: str,
    nominated: str,
    confirm: bool,
    timeout_s: int,
    folder: Path | None,
) -> None:
    """Apply for a credit on the terms in FILE: JSON, or an MT700, MT710 or MT720.

    \b
    Example:
      hansa credit apply terms.json --issuer 9521432000013 --beneficiary 9521765000010
    """
    from cli.call import open_client

    terms = _terms(file)
    args = {
        "issuer": issuer, "beneficiary": beneficiary, "expiry": terms.get("expiry"),
        "terms": terms, "advising": advising, "nominated": nominated, "to_confirm": confirm,
    }  # fmt: skip
    with open_client() as client:
        number = _send(client, "apply", args, timeout_s, folder)
    _say({"credit": number, "state": "APPLIED"})


def _terms(file: Path) -> dict[str, Any]:
    from cli.mt.credits import terms_of

    message, value = read_values(file)
    if message is not None:
        value = terms_of(message.number, value)
    if not isinstance(value, dict):
        raise InputError("MT_JSON", f"{file}: terms are a JSON object")
    return value


@credit.command()
@_NUMBER
@_FILE
@click.option("--to", required=True, help="The second beneficiary.")
@sending
def transfer(number: int, file: Path, to: str, timeout_s: int, folder: Path | None) -> None:
    """Ask that credit NUMBER be transferred on the terms in FILE: JSON, or an MT720.

    \b
    Example:
      hansa credit transfer 12 second.json --to 9521765000010
    """
    from cli.call import open_client

    terms = _terms(file)
    args = {"number": number, "to": to, "expiry": terms.get("expiry"), "terms": terms}
    with open_client() as client:
        child = _send(client, "transfer", args, timeout_s, folder)
    _say({"credit": child, "transferred_from": number, "state": "APPLIED"})


@credit.command()
@_NUMBER
@_FILE
@click.option("--cancel", is_flag=True, help="The amendment cancels the credit.")
@sending
def amend(number: int, file: Path, cancel: bool, timeout_s: int, folder: Path | None) -> None:
    """Propose, as the issuer, what FILE changes of credit NUMBER: JSON, or an MT707.

    What an MT707 adds or deletes is held against the terms in force, which the node's vault has.

    \b
    Example:
      hansa credit amend 12 more.json
    """
    from cli.call import open_client
    from cli.credit_openings import Openings
    from cli.mt.credits import changes_of

    message, value = read_values(file)
    with open_client() as client:
        if message is None:
            args = {"changes": value, "cancels": cancel}
            if isinstance(value, dict) and "expiry" in value:
                args["expiry"] = value["expiry"]
        elif message.number == "707":
            args = changes_of(value, Openings(client, folder).terms(number))
        else:
            raise InputError("MT_NO_TERMS", f"an MT{message.number} amends nothing")
        amendment = _send(client, "amend", {"number": number, **args}, timeout_s, folder)
    _say({"credit": number, "amendment": amendment, "state": "PROPOSED"})


# --- presentations -------------------------------------------------------------------------------


@credit.command()
@_NUMBER
@_FILE
@click.option("--bank", required=True, help="The issuer, or the nominated bank.")
@sending
def present(number: int, file: Path, bank: str, timeout_s: int, folder: Path | None) -> None:
    """Present the documents in FILE under credit NUMBER.

    FILE is JSON with `drawing`, `documents` and, of electronic bills of lading, `bills`. A
    document's `file`, beside FILE, is hashed; the file itself goes nowhere.

    \b
    Example:
      hansa credit present 12 documents.json --bank 9521432000013
    """
    from cli.call import open_client

    _message, value = read_values(file)
    args = {"number": number, "bank": bank, **documents_of(value, file.parent)}
    with open_client() as client:
        presentation = _send(client, "present", args, timeout_s, folder)
        found = client.query(CONTRACT, "presentation",
                             {"number": number, "presentation": presentation})  # fmt: skip
    deadline = output.when(found.value["presentation"]["deadline"])
    _say({"credit": number, "presentation": presentation, "state": "PRESENTED",
          "bank_has_until": deadline})  # fmt: skip


@credit.command()
@_NUMBER
@_PRESENTATION
@_FILE
@sending
def notice(number: int, presentation: int, file: Path, timeout_s: int, folder: Path | None) -> None:
    """Refuse PRESENTATION of credit NUMBER by the MT734 in FILE: its discrepancies are recorded as
    the bank's findings, and the one notice is given.

    \b
    Example:
      hansa credit notice 12 1 refusal.fin
    """
    from cli.call import open_client
    from cli.mt.credits import refusal_of

    message, value = read_values(file)
    if message is None or message.number != "734":
        raise InputError("MT_NO_TERMS", "a notice of refusal is an MT734")
    findings, fate = refusal_of(value)
    of = {"number": number, "presentation": presentation}
    with open_client() as client:
        told = {**of, "verdict": "DISCREPANT", "findings": findings}
        _send(client, "examined", told, timeout_s, folder)
        _send(client, "give_notice", {**of, "fate": fate}, timeout_s, folder)
    _say({**of, "state": "REFUSED", "fate": fate, "discrepancies": len(findings)})


# --- at a glance ---------------------------------------------------------------------------------


@credit.command()
@_NUMBER
@click.option("--open", "opens", is_flag=True, help="Also what its commitments hide from others.")
@openings_option
@key_option
@node_option
@json_option
def show(number: int, opens: bool, folder: Path | None) -> None:
    """Show credit NUMBER: parties, states, amendments, presentations with their deadlines.

    \b
    Examples:
      hansa credit show 12
      hansa credit show 12 --open
    """
    from cli.call import open_client
    from cli.credit_openings import Openings
    from cli.tasks import left_of

    with open_client() as client:
        found = client.query(CONTRACT, "credit", {"number": number}).value
        rows = _presentations(client, number)
        now_ms: int = client.node_status()["block_time_ms"]
        for row in rows:
            one = row["presentation"]
            waits = one["state"] in ("PRESENTED", "DISCREPANT")
            task = {"due": one["deadline"] if waits else 0, "organisation": one["bank"]}
            row["left"] = left_of(client, task, now_ms)
        terms = Openings(client, folder).terms(number) if opens else None
    if current().json:
        from consensus.primitives.codec import data_to_json

        output.print_json(data_to_json({**found, "presentations": rows, "terms": terms}))
        return
    record = found["credit"]
    shown = {name: record[name] for name in _SHOWN if record[name] not in ("", 0)}
    shown["expiry"] = _day(record["expiry"])
    click.echo(output.fields({"credit": number, **shown}))
    if found["amendments"]:
        click.echo(f"\namendments\n{output.table(_AMENDMENT, _amendment_rows(found))}")
    if rows:
        click.echo(f"\npresentations\n{output.table(_PRESENTED, _presentation_rows(rows))}")
    if terms is not None:
        click.echo("\nterms in force")
        output.print_json(terms)


_SHOWN: Final = (
    "state", "applicant", "beneficiary", "issuer", "advising", "nominated", "confirmed", "expiry",
    "parent", "transferor",
)  # fmt: skip
_AMENDMENT: Final = ("amendment", "state", "issued_at", "by_presentation")
_PRESENTED: Final = (
    "presentation", "state", "bank", "documents", "presented_at", "deadline", "banking days left",
    "fate", "disputed",
)  # fmt: skip


def _amendment_rows(found: Mapping[str, Any]) -> list[list[Any]]:
    rows = []
    for one in found["amendments"]:
        made = one["record"]
        issued = output.when(made["issued_at"]) if made["issued_at"] else ""
        rows.append([one["amendment"], made["state"], issued, made["by_presentation"] or ""])
    return rows


def _presentation_rows(rows: list[dict[str, Any]]) -> list[list[Any]]:
    found = []
    for row in rows:
        one = row["presentation"]
        found.append(
            [row["number"], one["state"], one["bank"], len(one["documents"]),
             output.when(one["presented_at"]), output.when(one["deadline"]), row["left"],
             one["fate"], one["disputed"]]
        )  # fmt: skip
    return found


def _day(date: int) -> str:
    from contracts.sdk.dates import date_text

    return date_text(date)


def _presentations(client: Client, number: int) -> list[dict[str, Any]]:
    """All of them, page by page."""
    found: list[dict[str, Any]] = []
    while True:
        args = {"number": number, "after": found[-1]["number"] if found else 0}
        page = client.query(CONTRACT, "presentations_of", args).value
        if not page:
            return found
        found += page


@credit.command()
@_NUMBER
@click.option("--mt", "kind", required=True,
              type=click.Choice(("700", "707", "710", "720", "734", "750", "752")))  # fmt: skip
@click.option("--amendment", type=click.IntRange(1), default=None, help="Which one, of an MT707.")
@click.option("--presentation", type=click.IntRange(1), default=None,
              help="Which one, of an MT734, MT750 or MT752.")  # fmt: skip
@click.option("--issuing-bank", default="", help="BIC, of an MT710 or MT720.")
@click.option("--sender", required=True, help="BIC of the bank that sends it.")
@click.option("--receiver", required=True, help="BIC of the bank that gets it.")
@click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), default=None,
              help="Write here instead of to the terminal.")  # fmt: skip
@openings_option
@key_option
@node_option
@json_option
def export(
    number: int,
    kind: str,
    amendment: int | None,
    presentation: int | None,
    issuing_bank: str,
    sender: str,
    receiver: str,
    out: Path | None,
    folder: Path | None,
) -> None:
    """Write credit NUMBER, one of its amendments or presentations as a SWIFT message, from the
    openings in the vault or beside the key.

    A new message lacks session and sequence number, which the bank's interface fills in.

    \b
    Example:
      hansa credit export 12 --mt 700 --sender BANKBEBB --receiver BANKETAA -o credit.fin
    """
    from cli.call import open_client
    from cli.credit_openings import Openings, says
    from cli.mt.message import new_message
    from cli.mt.rules import check_message
    from cli.mt.saying import fields_of
    from node.keystore import write_whole

    with open_client() as client:
        openings = Openings(client, folder)
        told = says(openings, number, kind, amendment, presentation, issuing_bank)
    message = new_message(kind, sender, receiver, fields_of(kind, told))
    wrong = [f"{one.field or '-'}: {one.code}: {one.message}" for one in check_message(message)]
    if wrong:
        raise InputError("MT_INVALID", f"credit {number} as MT{kind}: {'; '.join(wrong)}")
    whole = message.to_bytes() + b"\r\n"
    if out is None:
        click.echo(whole.decode(), nl=False)
    else:
        write_whole(out, whole)
