"""`hansa doctor`: why a node or the network does not advance, and what to do about it."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cli import output
from cli.settings import DEFAULT_NODE, DEVNET_FILE, DEVNET_FOLDER, current, json_option

if TYPE_CHECKING:
    from node.doctor.compare import Seen, View
    from node.doctor.findings import Finding

TIMEOUT_S: Final = 5.0
WIDTH: Final = 96


@dataclass(frozen=True)
class Target:
    """A node to ask, and where its data is, if that is known here. No URL: only look there."""

    name: str
    url: str | None
    folder: Path | None = None
    passphrase_file: Path | None = None


@dataclass(frozen=True)
class Told:
    """What became known of one node."""

    target: Target
    verdict: str
    findings: tuple[Finding, ...]
    view: View | None = None


@click.command()
@click.option("--node", "urls", metavar="URL", multiple=True, envvar="HANSA_NODE",
              help="A node's HTTP API; several to join their views (HANSA_NODE).")  # fmt: skip
@click.option("--home", "homes", metavar="DIR", multiple=True,
              type=click.Path(path_type=Path, file_okay=False, exists=True),
              help="A node's data folder on this machine: asked, else looked at.")  # fmt: skip
@click.option("--dir", "devnet", metavar="DIR", type=click.Path(path_type=Path, file_okay=False),
              help="A devnet's folder: all of its nodes (default: ./build/devnet, if there is"
              " one).")  # fmt: skip
@json_option
def doctor(urls: tuple[str, ...], homes: tuple[Path, ...], devnet: Path | None) -> int:
    """Why a node or the network does not advance, in plain words, and what to do.

    It only looks. Ends with 0 when nothing is wrong, with 1 when something was found.

    \b
    Examples:
      hansa doctor
      hansa doctor --node http://127.0.0.1:8640 --node http://10.0.0.7:8640
      hansa doctor --home ./node1
    """
    from node.doctor.compare import joined
    from node.doctor.findings import is_healthy

    each = [_told(one) for one in _targets(urls, homes, devnet)]
    seen = joined(
        [(one.target.name, one.findings) for one in each],
        [one.view for one in each if one.view is not None],
    )
    healthy = is_healthy(one.finding for one in seen)
    if current().json:
        output.print_json(
            {
                "healthy": healthy,
                "findings": [{**one.finding.to_json(), "at": list(one.at)} for one in seen],
                "nodes": [
                    {
                        "name": one.target.name,
                        "url": one.target.url,
                        "verdict": one.verdict,
                        "vitals": None if one.view is None else one.view.vitals,
                    }
                    for one in each
                ],
            }
        )
    else:
        _print(each, seen)
    return output.OK if healthy else output.REFUSED


def _targets(urls: Sequence[str], homes: Sequence[Path], devnet: Path | None) -> list[Target]:
    from node.doctor.folder import api_url

    found = [Target(url, url.rstrip("/")) for url in urls]
    found += [Target(home.absolute().name, api_url(home), home) for home in homes]
    if found and devnet is None:
        return found
    if current().node_url is not None and not found:  # given before the command
        return [Target(current().node(), current().node())]
    folder = devnet or DEVNET_FOLDER
    if devnet is not None or (folder / DEVNET_FILE).exists():
        from cli.network import Network

        network = Network(folder, output.say)
        found += [
            Target(node.name, node.url, network.folder / node.name, network.passphrase_file)
            for node in network.nodes()
        ]
    return found or [Target(DEFAULT_NODE, DEFAULT_NODE)]


def _told(target: Target) -> Told:
    """Ask a node; one that does not answer is examined from its folder."""
    from cli.client import Client, ClientError
    from node.doctor.compare import View
    from node.doctor.findings import STOPPED, Finding
    from node.doctor.folder import examine_folder

    problem = "its configuration does not tell where"
    if target.url is not None:
        try:
            with Client(target.url, timeout_s=TIMEOUT_S) as client:
                before = time.time_ns() // 1_000_000
                answer = client.doctor()
                now = (before + time.time_ns() // 1_000_000) // 2
            view = View(answer["vitals"], int(answer["vitals"]["wall_ms"]) - now)
            findings = tuple(_finding(one) for one in answer["findings"])
            return Told(Target(view.name, target.url), str(answer["verdict"]), findings, view)
        except ClientError as error:
            problem = str(error)
        except (KeyError, TypeError, ValueError):
            problem = "its answer is not a doctor's: another release, or no node"
    if target.folder is not None:
        found = examine_folder(target.folder, target.passphrase_file)
        return Told(target, f"{target.name} does not answer.", tuple(found))
    missing = Finding(
        "NODE_UNREACHABLE",
        STOPPED,
        f"{target.name} does not answer: {problem}",
        "On that machine: hansa doctor --home FOLDER looks at its data folder.",
        (target.name,),
    )
    return Told(target, f"{target.name} does not answer.", (missing,))


def _finding(value: dict[str, Any]) -> Finding:
    from node.doctor.findings import EXPLAINS, NOTICE, SEVERITIES, Finding

    code, severity = str(value["code"]), str(value["severity"])
    return Finding(
        code if code in EXPLAINS else "NEWER_FINDING",
        severity if severity in SEVERITIES else NOTICE,
        str(value["text"]),
        str(value["action"]),
        tuple(map(str, value["about"])),
        str(value["rule"]),
    )


def _print(each: Sequence[Told], seen: Sequence[Seen]) -> None:
    for one in each:
        click.echo(_wrapped(one.verdict, ""))
    for place in seen:
        found = place.finding
        rule = f"  [{found.rule}]" if found.rule else ""
        at = f"  seen at {', '.join(place.at)}" if place.at and len(each) > 1 else ""
        click.echo(f"\n{found.severity.upper()}  {found.code}{rule}{at}")
        click.echo(_wrapped(found.text, "  "))
        click.echo(_wrapped(f"-> {found.action}", "  ", "     "))


def _wrapped(text: str, indent: str, further: str | None = None) -> str:
    # Other people's text must not steer the terminal.
    clean = "".join(one if one.isprintable() else " " for one in text)
    return textwrap.fill(
        clean,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent if further is None else further,
        break_long_words=False,
        break_on_hyphens=False,
    )
