"""`hansa recall`'s commands that ask: how recalls stand, who was told, where the goods are."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from cli import output
from cli.sending import timeout_option
from cli.settings import current, json_option, node_option

if TYPE_CHECKING:
    from cli.client import Client

F = TypeVar("F", bound=Callable[..., Any])

CONTRACT: Final = "recall"
POLL_S: Final = 0.2
PRODUCT_WIDTH: Final = 40  # of a product in the list
NUMBER: Final = click.argument("number", type=click.IntRange(1))


def asked(function: F) -> F:
    """What every command that only asks takes."""
    return node_option(json_option(function))


@click.command("list")
@asked
def list_() -> None:
    """All recalls.

    \b
    Example:
      hansa recall list
    """
    from cli.call import open_client
    from consensus.primitives.codec import data_to_json

    found: list[dict[str, Any]] = []
    with open_client() as client:
        while True:
            after = found[-1]["number"] if found else 0
            page = client.query(CONTRACT, "recall_list", {"after": after}).value
            if not page:
                break
            found += page
    if current().json:
        output.print_json(data_to_json(found))
        return
    names = ("firm", "state", "recall_class", "notices", "acknowledged")
    rows = [
        (one["number"], _brief(one["product"]), *(one["recall"][name] for name in names))
        for one in found
    ]
    headers = ("recall", "product", "firm", "state", "class", "notices", "acknowledged")
    click.echo(output.table(headers, rows))


@click.command()
@NUMBER
@asked
def show(number: int) -> None:
    """Recall NUMBER: state, class, what is public of it, its history.

    \b
    Example:
      hansa recall show 1
    """
    found = _ask("recall", {"number": number}, f"there is no recall {number}")
    if current().json:
        output.print_json(found)
        return
    facts = {**found["recall"], **found["announcement"]}
    facts["firm"] = found["recall"]["firm"]
    facts["firm in words"] = found["announcement"]["firm"]
    facts["scope"] = [one["item"] for one in found["scope"]]
    facts["lots"] = found["lots"]
    facts["checks wanted"] = found["checks_wanted"]
    for name in ("drafted_at", "initiated_at", "completed_at", "terminated_at", "released_at"):
        facts[name] = output.when(facts[name]) if facts[name] else ""
    facts["classes"] = [
        f"{one['recall_class']} on {output.when(one['at'])}" for one in found["classifications"]
    ]
    shown = {name: one for name, one in facts.items() if one not in ("", [], None)}
    click.echo(output.fields({k: one for k, one in shown.items() if not k.startswith("walk")}))


@click.command()
@NUMBER
@asked
def dashboard(number: int) -> None:
    """Where the goods of recall NUMBER are: by lot, by holder, and by day of recording.

    Distributed is what left the recalling firm; outstanding is what neither came back nor was
    destroyed or used up. Sent back is what went to the recalling firm, sent on what went to others,
    received held what came in when the recall stood already. Days are those of the blocks (UTC).
    At the end stands who says that none is left, or never was, where the ledger has some.

    \b
    Example:
      hansa recall dashboard 1
    """
    from cli.call import open_client
    from cli.recall_board import board_table, whole_board

    with open_client() as client:
        board = whole_board(client, number)
        if current().json:
            output.print_json(board)
            return
        click.echo(f"Recall {number}: {board['state']}\n")
        click.echo(board_table(client, board))


@click.command()
@NUMBER
@click.option("--wait", is_flag=True, help="Wait until everybody is told: a few blocks.")
@timeout_option
@asked
def notices(number: int, wait: bool, timeout_s: int) -> None:
    """Who was told of recall NUMBER, and what they answered.

    \b
    Examples:
      hansa recall notices 1
      hansa recall notices 1 --wait
    """
    from cli.call import open_client
    from cli.recall_board import all_notices, notices_table
    from consensus.primitives.codec import data_to_json

    with open_client() as client:
        if wait:
            _wait_for_notices(client, number, timeout_s)
        require_recall(client, number)
        found = all_notices(client, number)
        against = contradictions(client, number) if any(one["found"] for one in found) else []
        if current().json:
            for one in found:
                one["contradictions"] = [of for of in against if of["holder"] == one["holder"]]
            output.print_json(data_to_json(found))
        else:
            click.echo(notices_table(client, found, against))


@click.command()
@NUMBER
@click.argument("holder")
@asked
def notice(number: int, holder: str) -> None:
    """The notice of recall NUMBER to HOLDER, as 21 CFR 7.49 words it.

    \b
    Example:
      hansa recall notice 1 9521432000013
    """
    from cli.call import open_client
    from cli.recall_board import goods_at
    from consensus.primitives.codec import data_to_json

    args = {"number": number, "holder": holder}
    found = _ask("notice", args, f"recall {number} has no notice to {holder}")
    with open_client() as client:
        found["goods"] = data_to_json(goods_at(client, number, holder))
        consents = client.query(CONTRACT, "consents_of", {"number": number}).value
    consent = next((one for one in consents if one["holder"] == holder), None)
    found["consent"] = data_to_json(consent)
    if current().json:
        output.print_json(found)
    else:
        click.echo(notice_text(found))


def notice_text(found: dict[str, Any]) -> str:
    """A notice in words (21 CFR 7.49(c))."""
    public = found["announcement"]
    head = f"{public['kind']} RECALL"
    lines = [f"URGENT: {head}" if found["urgent"] else head, ""]
    scope = [one["item"] for one in found["scope"]]
    codes = [public["codes"], *(one["codes"] for one in found["widenings"])]
    facts = {
        "recall": found["recall"],
        "class": found["recall_class"],
        "to": found["to"],
        "from": public["firm"] or found["firm"],
        "product": public["product"],
        "size": public["size"],
        "lots, codes, serials": "; ".join(filter(None, codes)),
        "items": scope,
        "reason": public["reason"],
        "depth": found["depth"].lower(),
    }
    lines.append(output.fields({name: one for name, one in facts.items() if one not in ("", [])}))
    if found["goods"]:
        lines += ["", "What you have or had of it, by the ledger:", _goods_table(found["goods"])]
    lines += ["", "Stop distribution and use of this product at once, and set it apart."]
    lines.append("Tell all whom you have sold it on to.")
    lines.append({
        "RETURN": "Return what you have to the recalling firm.",
        "DESTROY": "Destroy what you have, and keep the certificate.",
        "HOLD": "Keep what you have in quarantine until you are told more.",
    }[found["disposal"]])  # fmt: skip
    if found["consent"] is not None:
        lines.append(f"You may destroy it where it is, by consent of {found['consent']['by']}.")
    lines.append("Confirm that you have read this: hansa recall acknowledge")
    return "\n".join(lines)


def _goods_table(goods: list[dict[str, Any]]) -> str:
    names = ("unit", "had", "left", "coming")
    rows = [(one["item"], *(one[name] for name in names)) for one in goods]
    return output.table(("item", "unit", "came to you", "left", "on its way"), rows)


ASKING: Final = (list_, show, dashboard, notices, notice)


# --- how -----------------------------------------------------------------------------------------


def _brief(text: str) -> str:
    """A text's first line, or as much of it as has room."""
    line = text.split("\n", maxsplit=1)[0]
    return line if len(line) <= PRODUCT_WIDTH else f"{line[: PRODUCT_WIDTH - 2]}.."


def contradictions(client: Client, number: int) -> list[dict[str, Any]]:
    """What the ledger says against holders' answers; told, and empty, where it is too much."""
    from cli.client import RequestFailed
    from cli.recall_board import whole_board

    try:
        found: list[dict[str, Any]] = whole_board(client, number)["contradictions"]
    except RequestFailed as error:
        if error.code != "TOO_MANY_FLOWS":
            raise
        output.say(f"the answers were not compared with the ledger: {error.message}")
        return []
    return found


def require_recall(client: Client, number: int) -> dict[str, Any]:
    """The recall. Raises ClientError UNKNOWN_RECALL."""
    from cli.client import ClientError

    found = client.query(CONTRACT, "recall", {"number": number}).value
    if found is None:
        raise ClientError("UNKNOWN_RECALL", f"there is no recall {number}")
    return dict(found)


def _wait_for_notices(client: Client, number: int, timeout_s: int) -> None:
    """Until no holders are looked for any more. Raises ClientError NOTICES_PENDING."""
    from cli.client import ClientError

    deadline = time.monotonic() + timeout_s
    while require_recall(client, number)["recall"]["walking"]:
        if time.monotonic() > deadline:
            raise ClientError("NOTICES_PENDING", "holders are still being looked for")
        time.sleep(POLL_S)


def _ask(method: str, args: dict[str, Any], unknown: str) -> Any:
    """A query's answer as JSON's values. Raises ClientError UNKNOWN_RECALL where it is nothing."""
    from cli.call import open_client
    from cli.client import ClientError
    from consensus.primitives.codec import data_to_json

    with open_client() as client:
        found = client.query(CONTRACT, method, args).value
    if found is None:
        raise ClientError("UNKNOWN_RECALL", unknown)
    return data_to_json(found)
