"""`hansa screen`: names, owners and files of legal entities against a sanctions list."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import click

from cli import output
from cli.settings import current, json_option
from consensus.primitives.errors import InputError

_FOLDER: Final = click.Path(path_type=Path, file_okay=False)
_FILE: Final = click.Path(path_type=Path, dir_okay=False)
_list_option = click.option(
    "--list", "folder", type=_FOLDER, required=True, envvar="HANSA_SANCTIONS",
    help="Folder of a list in OFAC's format: sdn.csv, alt.csv, add.csv, sdn_comments.csv.",
)  # fmt: skip
_threshold_option = click.option(
    "--threshold", type=click.IntRange(50, 100), default=85, show_default=True,
    help="From how many per cent on a name is a hit.",
)  # fmt: skip


@click.group()
def screen() -> None:
    """Screen names against sanctions lists. Nothing leaves this machine.

    \b
    What is found goes into a decision as a commitment (no tipping off):
      hansa screen name "Carolina Coffee" --party 9521432000013 --list ofac --out grounds.json
      hansa call compliance decide party=9521432000013 standing=VERIFIED \\
        "assessment=$(cat grounds.json)" lists='[{"name": "OFAC-SDN", "digest": {"hex": "..."}}]' \\
        review_on=2030-01-31
    """


@screen.command("list")
@click.argument("folder", type=_FOLDER)
@json_option
def list_(folder: Path) -> None:
    """Show what the list in FOLDER holds, its digest, and which rows were refused and why.

    \b
    Example:
      hansa screen list ofac
    """
    from collections import Counter

    from cli.screening.lists import load_list

    found = load_list(folder)
    value = {
        "list": found.name,
        "digest": found.digest.hex(),
        "entries": len(found.entries),
        "names": dict(sorted(Counter(one.kind for one in found.names).items())),
        "addresses": found.addresses,
        "refused": dict(sorted(found.refused.items())),
    }
    _show(value)


@screen.command()
@click.argument("name")
@click.option("--also", multiple=True, metavar="NAME", help="Another name that it goes by.")
@_list_option
@_threshold_option
@click.option("--party", default="", help="The organisation's id; clearances are of one party.")
@click.option("--owners", type=_FILE, help="CSV of owner,owned,percent: the fifty per cent rule.")
@click.option("--cleared", type=_FILE,
              help="JSON list of clearances: party, entry, name, reason.")  # fmt: skip
@click.option("--factor", "factors", multiple=True, metavar="NAME=POINTS",
              help="A reason for (below nothing) or against the party.")  # fmt: skip
@click.option("--out", type=_FILE, help="Where to write what a decision rests on.")
@json_option
@click.pass_context
def name(
    ctx: click.Context,
    name: str,
    also: tuple[str, ...],
    folder: Path,
    threshold: int,
    party: str,
    owners: Path | None,
    cleared: Path | None,
    factors: tuple[str, ...],
    out: Path | None,
) -> None:
    """Screen a party by NAME, with its owners. Exit code 1 unless it is clear.

    \b
    Example:
      hansa screen name "Federal News Agency" --also "Федеральное агентство новостей" --list ofac
    """
    from cli.screening.assessing import assess, read_clearances, read_shares
    from cli.screening.lists import load_list
    from consensus.primitives.codec import data_to_json
    from node.keystore import write_whole

    if out is not None and not party:
        raise InputError("BAD_ARGUMENT", "--out needs --party: an assessment is of one party")
    against = load_list(folder)
    looked = assess(
        party,
        [name, *also],
        against,
        threshold=threshold,
        clearances=read_clearances(cleared) if cleared else (),
        shares=read_shares(owners) if owners else (),
        factors=[_factor(text) for text in factors],
    )
    value = data_to_json(looked.assessment)
    refused = dict(sorted(against.refused.items()))
    if out is not None:
        write_whole(out, (json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode())
        output.say(f"what a decision rests on is in {out}; nobody else may read it")
    if current().json:
        output.print_json({**value, "owned": looked.owned, "rows_refused": refused})
    else:
        top = ("name", "decision", "score", "algorithm", "threshold", "listed_owners")
        click.echo(output.fields({key: value[key] for key in top if value[key] != []}))
        click.echo(output.fields({"list": f"{value['lists'][0]['name']} {_digest(value)}"}))
        if refused:
            click.echo(output.fields({"rows of the list refused": refused}))
        if looked.owned:
            click.echo(output.fields({"counted as listed": ", ".join(looked.owned)}))
        rows = [
            [hit.score, hit.listed.entry, hit.listed.name, hit.listed.kind, row["cleared"]]
            for hit, row in zip(looked.hits, value["hits"], strict=True)
        ]
        if rows:
            click.echo(output.table(("%", "entry", "listed name", "kind", "cleared"), rows))
    ctx.exit(output.OK if value["decision"] == "CLEAR" else output.REFUSED)


@screen.command()
@click.argument("file", type=_FILE)
@_list_option
@_threshold_option
@json_option
@click.pass_context
def lei(ctx: click.Context, file: Path, folder: Path, threshold: int) -> None:
    """Screen all legal entities of a GLEIF file (level 1, Turtle). Exit code 1 if any has hits.

    \b
    Example:
      hansa screen lei L1Data.ttl --list ofac
    """
    from cli.screening.lei import load_entities
    from cli.screening.lists import load_list
    from cli.screening.matching import screen as screened

    against = load_list(folder)
    entities, refused = load_entities(file)
    rows = []
    for entity in entities:
        hits = screened(entity.names, against, threshold)
        best = [[hit.score, hit.listed.entry, hit.listed.name] for hit in hits]
        rows.append({"lei": entity.lei, "name": entity.names[0], "hits": best})
    value = {
        "screened": len(rows),
        "clear": sum(not row["hits"] for row in rows),
        "refused": dict(sorted(refused.items())),
        "entities": rows,
    }
    if current().json:
        output.print_json(value)
    else:
        click.echo(output.fields({key: value[key] for key in ("screened", "clear", "refused")}))
        cells = [[row["lei"], row["name"], row["hits"][0] if row["hits"] else ""] for row in rows]
        click.echo(output.table(("LEI", "name", "best hit"), cells))
    ctx.exit(output.REFUSED if value["clear"] != len(rows) or refused else output.OK)


def _show(value: dict[str, Any]) -> None:
    if current().json:
        output.print_json(value)
    else:
        click.echo(output.fields(value))


def _digest(assessment: dict[str, Any]) -> str:
    found: str = assessment["lists"][0]["digest"]["hex"]
    return found


def _factor(text: str) -> tuple[str, int]:
    what, equals, points = text.rpartition("=")
    try:
        if not equals or not what or abs(int(points)) > 1_000:
            raise ValueError
        return what, int(points)
    except ValueError:
        raise InputError("BAD_ARGUMENT", f"{text!r} is no NAME=POINTS up to 1000") from None
