"""`hansa dscsa`: medicines sold with transaction information, asked for, answered and checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cli import output
from cli.sending import timeout_option
from cli.settings import current, json_option, key_option, node_option
from consensus.primitives.codec import data_to_json
from consensus.primitives.errors import InputError

if TYPE_CHECKING:
    from cli.client import Client

CONTRACT: Final = "dscsa"
STEPS_MAX: Final = 10_000_000
PURPOSES: Final = ("suspect", "illegitimate", "recall", "official")

openings_option = click.option(
    "--openings", "folder", envvar="HANSA_OPENINGS",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where what opens commitments is kept (default: beside the key).",
)  # fmt: skip


@click.group()
def dscsa() -> None:
    """Trade medicines by the DSCSA. The rules: docs/spec/dscsa.md

    \b
    A package is named as its label does, with GTIN, serial, lot and expiry:
      hansa dscsa verify "(01)00361414567894(21)S1(17)271231(10)A1"
    Licences and suspect product are plain calls:
      hansa call dscsa
    """


# --- sale ---------------------------------------------------------------------------------------


@dscsa.command()
@click.argument("information", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--item", "items", multiple=True, required=True, metavar="ITEM[=AMOUNT]",
              help="What is sold: serial or logistic unit, or an amount of a lot.")  # fmt: skip
@click.option("--buyer", required=True, help="The organisation that buys and receives it.")
@click.option("--holder", default=None, help="Sell it where it lies, at this organisation.")
@click.option("--shipment-date", default=None, metavar="YYYY-MM-DD",
              help="Of what is sold where it lies, if shipped over 24 hours later.")  # fmt: skip
@click.option("--state", "is_stated", is_flag=True,
              help="Make the transaction statement: all seven assertions (hansa dscsa statement).",
              )  # fmt: skip
@openings_option
@timeout_option
@key_option
@node_option
@json_option
def sell(
    information: Path,
    items: tuple[str, ...],
    buyer: str,
    holder: str | None,
    shipment_date: str | None,
    is_stated: bool,
    folder: Path | None,
    timeout_s: int,
) -> None:
    """Sell medicines with the transaction information of the JSON file INFORMATION.

    Only a commitment to it leaves this machine; what opens it is kept for six years at least.

    \b
    INFORMATION, ti.json say, as section 581(26) has it:
      {"products": [{"name": "Xanomelin", "strength": "20 mg/1", "dosage_form": "TABLET",
                     "ndc": "61414-5678-9", "container_size": "30 TABLET", "containers": 1,
                     "lots": ["A1"]}],
       "transaction_date": "2026-11-23",
       "seller": {"name": "Hanse Pharma Inc.", "address": "1 Quay, Lubec ME 04652"},
       "buyer": {"name": "Baltic Wholesale Inc.", "address": "2 Pier, Bristol RI 02809"}}

    \b
    Example:
      hansa dscsa sell ti.json --item 00/095213210000000012 --buyer 9521432000013 --state
    """
    from cli.call import open_client
    from cli.dscsa_answers import ASSERTIONS

    things = [_thing(item) for item in items]
    try:
        said = information.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise InputError("FILE_NOT_READABLE", f"{information}: no text in UTF-8") from None
    words = [
        f"items={json.dumps(things)}",
        f"buyer={buyer}",
        f"information={said}",
        f"statement={json.dumps(list(ASSERTIONS) if is_stated else [])}",
    ]
    if holder is not None:
        words.append(f"holder={holder}")
    if shipment_date is not None:
        words.append(f"shipment_date={shipment_date}")
    with open_client() as client:
        method = "ship" if holder is None else "transfer"
        number, height = _call(client, method, words, folder, timeout_s)
        found = client.query(CONTRACT, "transaction", {"transaction": number}).value
    record = found["record"]
    _say({
        "transaction": number, "packages": record["packages"], "block": height,
        "retain_until": _day(record["retain_until"]),
    })  # fmt: skip


@dscsa.command()
@click.argument("transaction", type=click.IntRange(1), required=False)
@node_option
@json_option
def statement(transaction: int | None) -> None:
    """The transaction statement of TRANSACTION in words; what one says, where none is named.

    \b
    Example:
      hansa dscsa statement 7
    """
    from cli.call import open_client
    from cli.dscsa_answers import ASSERTIONS

    if transaction is None:
        rows = [{"code": code, "seller": text} for code, text in ASSERTIONS.items()]
        _table(rows, ("code", "seller"))
        return
    with open_client() as client:
        found = client.query(CONTRACT, "transaction", {"transaction": transaction}).value
        if found is None:
            raise InputError("NOT_FOUND", f"there is no transaction {transaction}")
        record = found["record"]
        names = _names(client, {record["seller"], record["buyer"]})
    value = {
        "transaction": transaction,
        "seller": record["seller"],
        "buyer": record["buyer"],
        "date": _day(record["day"]),
        "exemption": record["exemption"],
        "signed_by": record["stated_by"].hex(),
        "statement": [{"code": one, "seller": ASSERTIONS[one]} for one in record["statement"]],
    }
    if current().json:
        output.print_json(value)
        return
    seller = names[record["seller"]]
    click.echo(f"Transaction {transaction}, {value['date']}: {seller}, to the buyer"
               f" {names[record['buyer']]}")  # fmt: skip
    if record["exemption"]:
        click.echo(f"No transaction under section 581(24): {record['exemption']}")
    for code in record["statement"]:
        click.echo(f"  {seller} {ASSERTIONS[code]}")
    click.echo(f"signed with the key {record['stated_by'].hex()} in block {record['height']}")


# --- requests -----------------------------------------------------------------------------------


@dscsa.command()
@click.argument("label")
@node_option
@json_option
def verify(label: str) -> None:
    """Whether the product identifier on LABEL is one that its maker commissioned.

    VERIFIED; or DIFFERS, with what does; or UNKNOWN. Exit code 1 for these two.

    \b
    Example:
      hansa dscsa verify "(01)00361414567894(21)S1(17)271231(10)A1"
    """
    from cli.call import open_client

    with open_client() as client:
        found = client.query(CONTRACT, "verify", identifier(label, _year(client))).value
    _say({"status": found["status"], "differs": ", ".join(found["differs"]),
          "state": found["state"]})  # fmt: skip
    if found["status"] != "VERIFIED":
        click.get_current_context().exit(output.REFUSED)


@dscsa.command()
@click.argument("label")
@click.option("--of", "asked", required=True, help="The organisation that is asked.")
@click.option("--purpose", type=click.Choice(PURPOSES), required=True, help="What it is for.")
@timeout_option
@key_option
@node_option
@json_option
def request(label: str, asked: str, purpose: str, timeout_s: int) -> None:
    """Ask an organisation for the transaction information of the package with LABEL.

    \b
    Example:
      hansa dscsa request "(01)00361414567894(21)S1(17)271231(10)A1" \\
        --of 9521432000013 --purpose suspect
    """
    from cli.call import open_client

    with open_client() as client:
        given = identifier(label, _year(client))
        words = [f"{name}={value}" for name, value in given.items()]
        words += [f"asked={asked}", f"purpose={purpose.upper()}"]
        number, height = _call(client, "request_information", words, None, timeout_s)
        found = client.query(CONTRACT, "request", {"request": number}).value
    _say({"request": number, "answer_by": output.when(found["answer_by"]), "block": height})


@dscsa.command()
@click.argument("number", type=click.IntRange(1))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default=None,
              help="The answer's file (default: dscsa-answer-NUMBER.json).")  # fmt: skip
@openings_option
@timeout_option
@key_option
@node_option
@json_option
def respond(number: int, out: Path | None, folder: Path | None, timeout_s: int) -> None:
    """Answer request NUMBER: write the file for the asker, and its hash onto the chain.

    The chain says which transactions belong into it; what opens their information is looked for
    among the openings kept here. Send the file to the asker.

    \b
    Example:
      hansa dscsa respond 3 --out answer-3.json
    """
    from cli.call import open_client
    from cli.dscsa_answers import answer_bytes, make_answer
    from cli.openings import openings_folder
    from consensus.primitives.crypto import sha256
    from node.keystore import write_whole

    file = out or Path(f"dscsa-answer-{number}.json")
    with open_client() as client:
        asked = client.query(CONTRACT, "request", {"request": number}).value
        if asked is None:
            raise InputError("NOT_FOUND", f"there is no request {number}")
        numbers = client.query(CONTRACT, "transactions_for", {"request": number}).value
        records = {
            one: client.query(CONTRACT, "transaction", {"transaction": one}).value["record"]
            for one in numbers
        }
        place = folder or openings_folder(current().key)
        answer, missing = make_answer(number, asked["item"], records, place)
        raw = answer_bytes(answer)
        write_whole(file, raw)
        words = [f"request={number}", f"document={sha256(raw).hex()}"]
        _, height = _call(client, "respond", words, None, timeout_s)
    for one in missing:
        output.say(f"nothing in {place} opens the information of transaction {one}")
    _say({"request": number, "transactions": numbers, "not_opened": missing,
          "file": str(file), "block": height})  # fmt: skip


@dscsa.command()
@click.argument("number", type=click.IntRange(1))
@click.option("--answer", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              default=None, help="The file that was received, to be checked.")  # fmt: skip
@node_option
@json_option
def show(number: int, answer: Path | None) -> None:
    """Show request NUMBER with its transactions; check the file of its answer against the chain.

    Exit code 1 where the answer does not hold. As a report: hansa report dscsa-request.

    \b
    Example:
      hansa dscsa show 3 --answer answer-3.json
    """
    from cli.call import open_client
    from cli.dscsa_answers import ANSWER_BYTES_MAX, check_answer

    with open_client() as client:
        report = client.query(CONTRACT, "request_report", {"request": number}).value
    if report is None:
        raise InputError("NOT_FOUND", f"there is no request {number}")
    checked = None
    if answer is not None:
        if answer.stat().st_size > ANSWER_BYTES_MAX:
            raise InputError("ANSWER_INVALID", f"more than {ANSWER_BYTES_MAX} bytes")
        checked = check_answer(answer.read_bytes(), report)
    if current().json:
        output.print_json(data_to_json(report) | {"checked": checked})
    else:
        _show(report, checked)
    wrong = [one for one in checked or [] if one["code"] != "OK"]
    if wrong:
        raise InputError(wrong[0]["code"], f"transaction {wrong[0]['transaction']}:"
                         f" {wrong[0]['detail'] or 'the answer does not open it'}")  # fmt: skip


def _show(report: dict[str, Any], checked: list[dict[str, Any]] | None) -> None:
    found, verification = report["request"], report["verification"]
    names = report["organisations"]
    answered = output.when(found["answered_at"]) if found["answered_at"] else "not yet"
    click.echo(output.fields({
        "request": report["number"], "requester": names[found["requester"]],
        "asked": names[found["asked"]], "purpose": found["purpose"], "gtin": report["gtin"],
        "ndc": report["ndc"], "serial": report["serial"], "lot": found["lot"],
        "expiry": _day(found["expiry"]), "verification": verification["status"],
        "answered": answered, "late": found["is_late"],
    }))  # fmt: skip
    if report["transactions"]:
        rows = [
            (
                one["number"], one["record"]["kind"], _day(one["record"]["day"]),
                names[one["record"]["seller"]], names[one["record"]["buyer"]],
                sum(line["amount"] for line in one["lines"]),
            )
            for one in report["transactions"]
        ]  # fmt: skip
        headers = ("transaction", "kind", "date", "seller", "buyer", "amount")
        click.echo("\n" + output.table(headers, rows))
    for one in report["cases"]:
        click.echo(f"\ncase {one['number']}: {one['record']['state']}, {one['record']['grounds']}")
    for one in checked or []:
        products = (one.get("value") or {"products": ()})["products"]
        told = ", ".join(f"{p['name']} {p['strength']} {p['dosage_form']}" for p in products)
        click.echo(f"\ntransaction {one['transaction']}: {one['code']} {one['detail'] or told}")


# --- how ----------------------------------------------------------------------------------------


def identifier(label: str, year_now: int) -> dict[str, str]:
    """Item, lot and expiry of what a label says: element strings, (01)...(21)...(17)...(10)...

    Raises InputError BAD_ARGUMENT for what is no product identifier (21 U.S.C. 360eee(14)).
    """
    from contracts.sdk.dates import date_text, gs1_date
    from contracts.sdk.errors import BadValue
    from contracts.sdk.gs1 import element_strings, path_of_elements

    try:
        found = element_strings(label)
        if missing := [f"({name})" for name in ("01", "10", "17") if name not in found]:
            raise BadValue(f"{', '.join(missing)} is missing")
        expiry = date_text(gs1_date(found["17"], year_now))
        return {"item": path_of_elements(found), "lot": found["10"], "expiry": expiry}
    except BadValue as error:
        raise InputError("BAD_ARGUMENT", f"{label[:80]!r}: {error}") from None


def _year(client: Client) -> int:
    """The newest block's year: a date's century goes by that (General Specifications 7.12)."""
    from contracts.sdk.dates import date_of

    time_ms: int = client.node_status()["block_time_ms"]
    return date_of(time_ms) // 10_000


def _thing(text: str) -> dict[str, Any]:
    item, equals, amount = text.rpartition("=")
    if not equals:
        return {"item": text}
    if not amount.isascii() or not amount.isdigit():
        raise InputError("BAD_ARGUMENT", f"{text!r}: the amount behind = is a whole number")
    return {"item": item, "quantity": {"amount": int(amount)}}


def _call(
    client: Client, method: str, words: list[str], folder: Path | None, timeout_s: int
) -> tuple[Any, int]:
    """The result and block of a call that takes effect; openings are kept before it is sent.

    Raises InputError BAD_ARGUMENT, Refused with the contract's own sentence.
    """
    from cli.arguments import parse_arguments
    from cli.call import chain_id_of, explained, valid_for_ms
    from cli.client import make_transaction
    from cli.openings import keep_openings, openings_folder
    from consensus.primitives.codec import data_from_json

    parsed = parse_arguments(client.contracts(), CONTRACT, method, "call", words)
    tx = make_transaction(
        current().signing_seed(),
        chain_id_of(client),
        [(CONTRACT, method, parsed.args)],
        valid_for_ms=valid_for_ms(client),
        steps_max=STEPS_MAX,
    )
    if parsed.openings:
        place = folder or openings_folder(current().key)
        file = keep_openings(place, tx.tx_id, CONTRACT, method, parsed.openings)
        output.say(f"what opens the commitments is in {file}")
    (outcome,) = client.submit_and_wait([tx], timeout_s=timeout_s)
    outcome = explained(client, outcome).require()
    (result,) = data_from_json(client.tx_status(tx.tx_id)["result"])
    assert outcome.height is not None
    return result, outcome.height


def _names(client: Client, ids: set[str]) -> dict[str, str]:
    from cli.trace import organisation_names

    return organisation_names(client, ids)


def _day(day: int) -> str:
    from contracts.sdk.dates import date_text

    return date_text(day)


def _say(value: dict[str, Any]) -> None:
    if current().json:
        output.print_json(value)
    else:
        click.echo(output.fields(value))


def _table(rows: list[dict[str, Any]], headers: tuple[str, ...]) -> None:
    if current().json:
        output.print_json(rows)
    else:
        click.echo(output.table(headers, [[row[name] for name in headers] for row in rows]))
