"""`hansa shipment`: DCSA documents, positions and geofences for the shipment contract."""

from __future__ import annotations

import decimal
from typing import TYPE_CHECKING, Any, Final

import click

from cli import output
from cli.sending import timeout_option
from cli.settings import current, json_option, key_option, node_option
from cli.shipment_calls import CONTRACT, Sender, now_ms, say
from cli.shipment_documents import book, check, import_
from consensus.primitives.errors import InputError

if TYPE_CHECKING:
    from cli.client import Client

PARTS: Final = ("shipper", "carrier", "consignee")
_DEGREE: Final = 1_000_000  # microdegrees


@click.group()
def shipment() -> None:
    """Carry goods: DCSA documents, positions, geofences. What is what: docs/spec/shipment.md

    \b
    Everything else is plain calls:
      hansa call shipment
    """


for _command in (check, import_, book):
    shipment.add_command(_command)


# --- where it is -------------------------------------------------------------------------------


@shipment.command(context_settings={"ignore_unknown_options": True})
@click.argument("number", type=click.IntRange(1))
@click.argument("latitude")
@click.argument("longitude")
@click.option("--time", "when", default=None, metavar="TIME",
              help="When it was there, as 2030-01-31T12:00:00Z (default: now).")  # fmt: skip
@click.option("--container", default="", help="The container that was there; else all of it.")
@timeout_option
@key_option
@node_option
@json_option
def position(
    number: int, latitude: str, longitude: str, when: str | None, container: str, timeout_s: int
) -> None:
    """Report, as the carrier, where shipment NUMBER was, in decimal degrees north and east.

    \b
    Example:
      hansa shipment position 7 -18.0012 179.9876 --time 2030-01-31T12:00:00Z
    """
    from cli.call import open_client

    at = {"latitude": microdegrees(latitude, 90), "longitude": microdegrees(longitude, 180)}
    report = {**at, "time": when or now_ms(), "container": container}
    with open_client() as client:
        args = {"number": number, "reports": [report]}
        outcome, _ = Sender(client, timeout_s=timeout_s).must("position", args)
    say({"shipment": number, **at, "block": outcome.height})


@shipment.command(context_settings={"ignore_unknown_options": True})
@click.argument("number", type=click.IntRange(1))
@click.argument("corners", nargs=-1, metavar="LAT,LON LAT,LON...")
@click.option("--alarm", type=click.Choice(("enter", "leave", "both")), required=True,
              help="What is to be told.")  # fmt: skip
@timeout_option
@key_option
@node_option
@json_option
def fence(number: int, corners: tuple[str, ...], alarm: str, timeout_s: int) -> None:
    """Set a geofence for shipment NUMBER: an event tells when it was entered, or left.

    Two corners are a box, south-west and north-east; more are a polygon's, in their order.

    \b
    Example, a box across the antimeridian:
      hansa shipment fence 7 -20,176 -15,-178 --alarm leave
    """
    from cli.call import open_client

    given = []
    for corner in corners:
        latitude, comma, longitude = corner.partition(",")
        if not comma:
            raise InputError("BAD_ARGUMENT", f"{corner!r} is no LATITUDE,LONGITUDE")
        at = {"latitude": microdegrees(latitude, 90), "longitude": microdegrees(longitude, 180)}
        given.append(at)
    args = {"number": number, "corners": given, "alarm": alarm.upper()}
    with open_client() as client:
        outcome, made = Sender(client, timeout_s=timeout_s).must("set_geofence", args)
    say({"shipment": number, "geofence": made, "block": outcome.height})


def microdegrees(text: str, most: int) -> int:
    """Decimal degrees as whole microdegrees, to the nearest, ties to even (a microdegree is
    11 cm). Raises InputError BAD_ARGUMENT."""
    try:
        degrees = decimal.Decimal(text)
        if not degrees.is_finite() or abs(degrees) > most:
            raise ValueError
        return int((degrees * _DEGREE).quantize(decimal.Decimal(1), decimal.ROUND_HALF_EVEN))
    except (ValueError, ArithmeticError):
        raise InputError(
            "BAD_ARGUMENT", f"{text!r} is no number of degrees from -{most} to {most}"
        ) from None


# --- what it is --------------------------------------------------------------------------------


@shipment.command()
@click.argument("number", type=click.IntRange(1))
@node_option
@json_option
def show(number: int) -> None:
    """Show shipment NUMBER: state, custody, legs, containers, goods, milestones, exceptions.

    Geofences are shown with the newest position's side of their border, and whether that is the
    one that they warn of. When each was crossed, the events GeofenceBreached tell.

    \b
    Example:
      hansa shipment show 7
    """
    from cli.call import open_client
    from consensus.primitives.codec import data_to_json

    with open_client() as client:
        found = client.query(CONTRACT, "shipment", {"number": number}).value
        found["milestones"] = _milestones(client, number)
        newest = client.query(CONTRACT, "positions", {"number": number}).value
    found["position"] = newest[0] if newest else None
    found["geofences"] = [_fenced(one, found["position"]) for one in found["geofences"]]
    if current().json:
        output.print_json(data_to_json(found))
        return
    record = found["shipment"]
    top = {name: record[name] for name in _SHOWN if record[name]}
    top |= {name: output.when(record[name]) for name in _MOMENTS if record[name]}
    click.echo(output.fields({"shipment": number, "custody": found["custody"], **top}))
    if found["position"]:
        at = found["position"]
        degrees = f"{_degrees(at['latitude'])},{_degrees(at['longitude'])}"
        click.echo(output.fields({"position": f"{degrees} at {output.when(at['time'])}"}))
    for name, columns in _TABLES:
        if found[name]:
            rows = [[_cell(column, row) for column in columns] for row in found[name]]
            click.echo(f"\n{name}\n" + output.table(columns, rows))


_SHOWN: Final = (
    "state", "shipper", "carrier", "consignee", "origin", "destination", "late",
    "handed_over", "condition", "exceptions_open",
)  # fmt: skip
_MOMENTS: Final = (
    "booked_at", "wanted_arrival", "promised_arrival", "arrived_at", "delivered_at",
)  # fmt: skip
_TABLES: Final = (
    ("legs", ("mode", "origin", "destination", "vessel", "voyage", "planned_departure",
              "departed_at", "planned_arrival", "estimated_arrival", "arrived_at", "delay")),
    ("equipment", ("container", "type", "aboard", "empty", "status", "status_at", "place")),
    ("goods", ("item", "quantity", "container")),
    ("documents", ("document", "status", "time")),
    ("geofences", ("alarm", "corners", "set_by", "since", "now", "breached")),
    ("exceptions", ("kind", "time", "container", "delay", "reported_by", "resolved_at")),
    ("milestones", ("time", "event", "code", "classifier", "place", "container", "document",
                    "delay", "state")),
)  # fmt: skip
_TIMES: Final = ("time", "since", "status_at", "planned_departure", "planned_arrival",
                 "estimated_arrival", "departed_at", "arrived_at", "resolved_at")  # fmt: skip


def _fenced(fence: dict[str, Any], at: dict[str, Any] | None) -> dict[str, Any]:
    """A geofence, and on which side of it a position lies."""
    from contracts.logistics.geometry import Corner, is_inside

    if at is None or at["time"] < fence["since"]:
        return {**fence, "now": "", "breached": False}
    corners = [Corner(**corner) for corner in fence["corners"]]
    inside = is_inside(corners, at["latitude"], at["longitude"])
    wrong = {"ENTER": inside, "LEAVE": not inside, "BOTH": False}[fence["alarm"]]
    return {**fence, "now": "inside" if inside else "outside", "breached": wrong}


def _cell(column: str, row: dict[str, Any]) -> Any:
    value = row[column]
    if column in _TIMES:
        return output.when(value) if value else ""
    if column == "corners":
        return " ".join(f"{_degrees(c['latitude'])},{_degrees(c['longitude'])}" for c in value)
    if column == "quantity" and value:
        return f"{value['amount']} {value['unit']}"
    return value


def _degrees(microdegrees_: int) -> str:
    whole, part = divmod(abs(microdegrees_), _DEGREE)
    return f"{'-' if microdegrees_ < 0 else ''}{whole}.{part:06d}"


def _milestones(client: Client, number: int) -> list[dict[str, Any]]:
    """All of them, page by page."""
    found: list[dict[str, Any]] = []
    while True:
        args = {"number": number, "after": len(found)}
        page = client.query(CONTRACT, "milestones_of", args).value
        if not page:
            return found
        found += page


@shipment.command("list")
@click.argument("organisation")
@click.option("--as", "part", type=click.Choice(PARTS),
              help="Which part it has in them (default: any).")  # fmt: skip
@click.option("--after", type=click.IntRange(0), default=0, help="Above this number.")
@node_option
@json_option
def list_(organisation: str, part: str | None, after: int) -> None:
    """List the first hundred shipments of ORGANISATION as each part that it has.

    \b
    Example:
      hansa shipment list 9521432000013 --as consignee
    """
    from cli.call import open_client

    rows: list[dict[str, Any]] = []
    with open_client() as client:
        for one in PARTS if part is None else (part,):
            args = {"organisation": organisation, "part": one.upper(), "after": after}
            found = client.query(CONTRACT, "shipments_of", args).value
            rows += [{**row, "part": one} for row in found]
    rows.sort(key=lambda row: int(row["number"]))
    if current().json:
        output.print_json(rows)
        return
    headers = (
        "number", "part", "state", "origin", "destination", "promised_arrival", "late",
        "exceptions_open",
    )  # fmt: skip
    for row in rows:
        promised = row["promised_arrival"]
        row["promised_arrival"] = output.when(promised) if promised else ""
    click.echo(output.table(headers, [[row[name] for name in headers] for row in rows]))
