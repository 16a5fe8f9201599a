"""`hansa recall`: recalls by 21 CFR 7, from the first draft to the termination."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from cli import output
from cli.recall_asking import ASKING, CONTRACT, NUMBER, contradictions
from cli.sending import timeout_option
from cli.settings import current, json_option, key_option, node_option

if TYPE_CHECKING:
    pass

F = TypeVar("F", bound=Callable[..., Any])

KINDS: Final = ("drug", "biologic", "device", "food", "veterinary", "cosmetic", "tobacco", "other")


def signed(function: F) -> F:
    """What every command that sends takes."""
    return timeout_option(key_option(node_option(json_option(function))))


@click.group()
def recall() -> None:
    """Recalls: initiate, classify, notify, return, destroy, check, complete, terminate, release.

    \b
    Who does what: the maker of the goods, or a regulator, initiates; regulators classify, terminate
    and release; holders acknowledge, return and destroy. Examples:
      hansa recall initiate "Lindocor 50 mg, 28 tablets" --reason "Dissolution" \\
        --item /01/09521321000018/10/LP2503 --codes "Lot LP2503" --kind drug --key maker.json
      hansa recall classify 1 II --key regulator.json
      hansa recall strategy 1 --depth retail --level A --disposal return --key maker.json
      hansa recall dashboard 1
    """


# --- the recalling firm, and regulators ----------------------------------------------------------


def _scope_options(function: F) -> F:
    function = click.option(
        "--item", "items", multiple=True, help="A lot or serial, in any GS1 form; may be repeated."
    )(function)
    return click.option(
        "--lot", "lots", multiple=True,
        help="A lot of which only the number is known; nothing is held for it.",
    )(function)  # fmt: skip


def _announcing(function: F) -> F:
    for name, text in (
        ("--firm", "The recalling firm's organisation, where a regulator signs."),
        ("--distribution", "Where to it was distributed, in words."),
        ("--amount", "How much was distributed, in words."),
        ("--size", "Strength, form, package."),
        ("--codes", "Lots, serials and dates, as the public shall read them."),
    ):
        function = click.option(name, default=None, help=text)(function)
    function = click.option(
        "--kind", type=click.Choice(KINDS), default="other", show_default=True,
        help="What kind of product.",
    )(function)  # fmt: skip
    function = click.option("--reason", required=True, help="Why; public.")(function)
    return click.argument("product")(_scope_options(function))


@recall.command()
@_announcing
@signed
def initiate(product: str, reason: str, timeout_s: int, **given: Any) -> None:
    """Recall PRODUCT: its goods are held from now on, with all that was made of them.

    \b
    Example:
      hansa recall initiate "Lindocor 50 mg, 28 tablets" --reason "Dissolution" --kind drug \\
        --item "(01)09521321000018(10)LP2503" --codes "Lot LP2503"
    """
    _announce("initiate", product, reason, timeout_s, given)


@recall.command()
@_announcing
@signed
def draft(product: str, reason: str, timeout_s: int, **given: Any) -> None:
    """Prepare a recall of PRODUCT; nothing is held yet.

    \b
    Example:
      hansa recall draft "Lindocor 50 mg" --reason "Dissolution" --codes "Lot LP2503"
    """
    _announce("draft", product, reason, timeout_s, given)


@recall.command()
@NUMBER
@signed
def start(number: int, timeout_s: int) -> None:
    """Initiate the drafted recall NUMBER.

    \b
    Example:
      hansa recall start 1
    """
    _send("start", {"number": number}, timeout_s)


@recall.command()
@NUMBER
@click.option("--reason", required=True, help="Why it is extended; public.")
@click.option("--codes", default="", help="What it is extended to, as the public shall read it.")
@_scope_options
@signed
def widen(
    number: int,
    reason: str,
    codes: str,
    items: tuple[str, ...],
    lots: tuple[str, ...],
    timeout_s: int,
) -> None:
    """Extend recall NUMBER to more goods.

    \b
    Example:
      hansa recall widen 1 --item /01/09521321000018/10/LP2504 --reason "The same raw material"
    """
    args = {"number": number, "reason": reason, "codes": codes} | _scope(items, lots)
    _send("widen", args, timeout_s)


@recall.command()
@NUMBER
@click.argument("recall_class", metavar="CLASS", type=click.Choice(("I", "II", "III")))
@signed
def classify(number: int, recall_class: str, timeout_s: int) -> None:
    """Give recall NUMBER its first CLASS, as a regulator (21 CFR 7.41).

    \b
    Example:
      hansa recall classify 1 II --key regulator.json
    """
    _send("classify", {"number": number, "recall_class": recall_class}, timeout_s)


@recall.command()
@NUMBER
@click.argument("recall_class", metavar="CLASS", type=click.Choice(("I", "II", "III")))
@signed
def reclassify(number: int, recall_class: str, timeout_s: int) -> None:
    """Give recall NUMBER another CLASS, as a regulator; the old one stays on record.

    \b
    Example:
      hansa recall reclassify 1 I --key regulator.json
    """
    _send("reclassify", {"number": number, "recall_class": recall_class}, timeout_s)


@recall.command()
@NUMBER
@click.option("--depth", type=click.Choice(("wholesale", "retail", "consumer")), required=True,
              help="How far down it goes.")  # fmt: skip
@click.option("--level", type=click.Choice(("A", "B", "C", "D", "E")), required=True,
              help="How many consignees are checked: all, --percent, 10 %, 2 %, none.")  # fmt: skip
@click.option("--percent", type=click.IntRange(11, 99), default=None, help="Of level B.")
@click.option("--disposal", type=click.Choice(("return", "destroy", "hold")), required=True,
              help="What consignees do with the goods.")  # fmt: skip
@signed
def strategy(
    number: int, depth: str, level: str, percent: int | None, disposal: str, timeout_s: int
) -> None:
    """Set the strategy of recall NUMBER (21 CFR 7.42): its notices go out.

    \b
    Example:
      hansa recall strategy 1 --depth retail --level A --disposal return
    """
    args = {"depth": depth.upper(), "level": level, "disposal": disposal.upper()}
    args_more = {} if percent is None else {"percent": percent}
    _send("set_strategy", {"number": number, **args, **args_more}, timeout_s)


@recall.command()
@NUMBER
@signed
def notify(number: int, timeout_s: int) -> None:
    """Look for holders of the goods of recall NUMBER once more, and notify those not yet told.

    \b
    Example:
      hansa recall notify 1
    """
    _send("notify", {"number": number}, timeout_s)


@recall.command()
@NUMBER
@click.argument("holder")
@click.argument("outcome", type=click.Choice(("effective", "not-reached", "not-acted")))
@click.option("--method", type=click.Choice(("visit", "telephone", "letter", "electronic")),
              default="telephone", show_default=True, help="How it was checked.")  # fmt: skip
@signed
def check(number: int, holder: str, outcome: str, method: str, timeout_s: int) -> None:
    """Take down an effectiveness check of HOLDER for recall NUMBER.

    \b
    Example:
      hansa recall check 1 9521432000013 effective --method visit
    """
    args = {"holder": holder, "outcome": outcome.upper().replace("-", "_")}
    args |= {"number": number, "method": method.upper()}  # type: ignore[dict-item]
    _send("check_effectiveness", args, timeout_s)


@recall.command()
@NUMBER
@click.argument("holder")
@click.option("--grounds", required=True, help="Why; public.")
@signed
def consent(number: int, holder: str, grounds: str, timeout_s: int) -> None:
    """Let HOLDER destroy goods of recall NUMBER that the strategy wants back, or kept.

    The recalling firm's, or a regulator's.

    \b
    Example:
      hansa recall consent 1 9521543000018 --grounds "Opened packages" --key maker.json
    """
    _send("consent", {"number": number, "holder": holder, "grounds": grounds}, timeout_s)


@recall.command()
@NUMBER
@click.option("--explanation", default=None, help="Why goods are outstanding, if any are; public.")
@signed
def complete(number: int, explanation: str | None, timeout_s: int) -> None:
    """Say that everything was done for recall NUMBER.

    \b
    Example:
      hansa recall complete 1 --explanation "Dispensed; the patients were written to"
    """
    more = {} if explanation is None else {"explanation": explanation}
    _send("complete", {"number": number, **more}, timeout_s)


@recall.command()
@NUMBER
@signed
def terminate(number: int, timeout_s: int) -> None:
    """End recall NUMBER, as a regulator (21 CFR 7.55); what is left of the goods stays held.

    \b
    Example:
      hansa recall terminate 1 --key regulator.json
    """
    _send("terminate", {"number": number}, timeout_s)


@recall.command()
@NUMBER
@click.option("--grounds", required=True, help="Why the goods are fit again; public.")
@signed
def release(number: int, grounds: str, timeout_s: int) -> None:
    """Free what is left of the goods of recall NUMBER, which has ended, as a regulator.

    \b
    Example:
      hansa recall release 1 --grounds "Relabelled under supervision" --key regulator.json
    """
    _send("release", {"number": number, "grounds": grounds}, timeout_s)


# --- holders -------------------------------------------------------------------------------------


@recall.command()
@NUMBER
@click.argument("found", type=click.Choice(
    ("found", "none-left", "never-received", "returned", "destroyed")))  # fmt: skip
@click.option("--notified-accounts", is_flag=True, help="Those it was sold on to were told.")
@signed
def acknowledge(number: int, found: str, notified_accounts: bool, timeout_s: int) -> None:
    """Confirm the own notice of recall NUMBER, and what was found.

    Says so where the ledger contradicts.

    \b
    Example:
      hansa recall acknowledge 1 found --notified-accounts --key pharmacy.json
    """
    args = {"found": found.upper().replace("-", "_"), "notified_accounts": notified_accounts}
    _send("acknowledge", {"number": number, **args}, timeout_s)
    if found != "found":
        _tell_contradictions(number)


def _goods(function: F) -> F:
    function = click.option("--amount", type=click.IntRange(1), default=None,
                            help="Of a lot, how much.")(function)  # fmt: skip
    function = click.option("--unit", default="EA", show_default=True,
                            help="What it is counted in.")(function)  # fmt: skip
    return NUMBER(click.argument("item")(function))


@recall.command("return")
@_goods
@click.option("--owner", default=None, help="Whose the goods are, if not the signer's own.")
@signed
def return_(
    number: int, item: str, amount: int | None, unit: str, owner: str | None, timeout_s: int
) -> None:
    """Send ITEM, out of quarantine, back to the recalling firm of recall NUMBER.

    \b
    Example:
      hansa recall return 1 /01/09521321000018/10/LP2503 --amount 35 --key wholesaler.json
    """
    args: dict[str, Any] = {"number": number, "items": [_thing(item, amount, unit)]}
    _send("return_goods", args | ({"owner": owner} if owner else {}), timeout_s)


@recall.command()
@_goods
@click.option("--owner", default=None, help="Whose the goods are that came back to the firm.")
@signed
def destroy(
    number: int, item: str, amount: int | None, unit: str, owner: str | None, timeout_s: int
) -> None:
    """Destroy own goods of recall NUMBER where they are; the firm also what others sent back.

    Where the strategy does not say so, with the recalling firm's or a regulator's consent.

    \b
    Example:
      hansa recall destroy 1 /01/09521321000018/10/LP2503 --amount 12 --key pharmacy.json
    """
    args: dict[str, Any] = {"number": number, "items": [_thing(item, amount, unit)]}
    _send("destroy", args | ({"owner": owner} if owner else {}), timeout_s)


# --- from the FDA --------------------------------------------------------------------------------


@recall.command("import")
@click.argument("files", nargs=-1, required=True,
                type=click.Path(path_type=Path, exists=True, dir_okay=False))  # fmt: skip
@click.option("--regulator-key", type=click.Path(path_type=Path, dir_okay=False), default=None,
              help="Signs the classes: only a regulator classifies.")  # fmt: skip
@click.option("--register", is_flag=True,
              help="Register the products as the signer's, so that lots are held.")  # fmt: skip
@signed
def import_(
    files: tuple[Path, ...], regulator_key: Path | None, register: bool, timeout_s: int
) -> None:
    """Make recalls of FDA enforcement records: openFDA's JSON, one a line or a list, or XML.

    Each record becomes a recall, initiated with --key, or is refused by name. Lots are held where
    the record leaves no doubt of them and of the product, and the product is the signer's. A record
    that is there without its class is classified. Exit code 1 if a record was refused.

    \b
    Example:
      hansa recall import enforcement.jsonl --key maker.json --regulator-key regulator.json
    """
    from cli.recall_import import import_records, import_summary

    rows = import_records(files, regulator_key, register=register, timeout_s=timeout_s)
    if current().json:
        output.print_json(import_summary(rows))
    else:
        headers = ("file", "row", "FDA number", "recall", "class", "lots", "held", "outcome", "why")
        click.echo(output.table(headers, [tuple(row.values()) for row in rows]))
        click.echo()
        counts = import_summary(rows)
        del counts["rows"]
        click.echo(output.fields(counts))
    if any(row["outcome"] != "OK" for row in rows):
        click.get_current_context().exit(output.REFUSED)


# --- how -----------------------------------------------------------------------------------------


def _announce(
    method: str, product: str, reason: str, timeout_s: int, given: dict[str, Any]
) -> None:
    announcement = {"product": product, "reason": reason, "kind": given["kind"].upper()}
    for name in ("codes", "size", "amount", "distribution"):
        if given[name]:
            announcement[name] = given[name]
    args: dict[str, Any] = {"announcement": announcement}
    args |= _scope(given["items"], given["lots"])
    if given["firm"]:
        args["firm"] = given["firm"]
    _send(method, args, timeout_s)


def _scope(items: tuple[str, ...], lots: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if items:
        found["items"] = [{"item": item} for item in items]
    if lots:
        found["lots"] = list(lots)
    return found


def _thing(item: str, amount: int | None, unit: str) -> dict[str, Any]:
    if amount is None:
        return {"item": item}
    return {"item": item, "quantity": {"amount": amount, "unit": unit}}


def _send(method: str, args: dict[str, Any], timeout_s: int) -> None:
    """One call, checked by the schema and signed with --key; what came of it is printed."""
    from cli.arguments import parse_arguments
    from cli.call import open_client
    from cli.sending import send

    words = [f"{name}={one if type(one) is str else json.dumps(one)}" for name, one in args.items()]
    with open_client() as client:
        checked = parse_arguments(client.contracts(), CONTRACT, method, "call", words).args
        (result,) = send(
            client, current().signing_seed(), [(CONTRACT, method, checked)], timeout_s=timeout_s
        )
    number = args.get("number", result)
    if current().json:
        output.print_json({"recall": number, "method": method})
    else:
        click.echo(f"recall {number}: {method}")


def _tell_contradictions(number: int) -> None:
    """What the ledger says against the signer's answer."""
    from cli.call import open_client
    from consensus.primitives.crypto import public_key

    with open_client() as client:
        key = {"key": public_key(current().signing_seed())}
        me = client.query("identity", "caller", key).value["organisation"]
        for one in contradictions(client, number):
            if one["holder"] == me:
                item = f"01/{one['product']}/10/{one['lot']}" if one["lot"] else one["product"]
                output.say(
                    f"but by the ledger {one['received']} {one['unit']} of {item} came to you,"
                    f" and {one['left']} are left"
                )


for command in ASKING:
    recall.add_command(command)
