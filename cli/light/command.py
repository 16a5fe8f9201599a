"""`hansa light`: a node that keeps headers only, and believes no node that it asks."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cli import output
from cli.proof import require_chain
from cli.settings import current, json_option
from consensus.primitives.errors import InputError

if TYPE_CHECKING:
    from cli.light.following import LightClient

FOLDER: Final = click.Path(path_type=Path, file_okay=False)
GENESIS: Final = "genesis.json"
NODES: Final = "light.json"
LISTEN: Final = "127.0.0.1:27090"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@click.group()
def light() -> None:
    """A light node: a chain followed by its headers, every answer proven before it is given.

    \b
    Examples:
      hansa light init ./light --from http://127.0.0.1:27001 --from http://127.0.0.1:27002 \\
          --chain-id HEX
      hansa light run ./light
      hansa status --node http://127.0.0.1:27090
    """


@light.command()
@click.argument("folder", type=FOLDER)
@click.option("--from", "urls", metavar="URL", multiple=True, required=True,
              help="A full node's API; give several, so that they watch each other.")  # fmt: skip
@click.option("--chain-id", metavar="HEX", help="The chain, from a source you trust.")
@click.option("--genesis", type=click.Path(path_type=Path, dir_okay=False, exists=True),
              help="The genesis document, from a source you trust (else a node's).")  # fmt: skip
@click.option("--trust-height", type=click.IntRange(1), help="Start from this block, not from the "
              "genesis document.")  # fmt: skip
@click.option("--trust-hash", metavar="HEX", help="That block's hash, from a source you trust.")
@json_option
def init(
    folder: Path,
    urls: tuple[str, ...],
    chain_id: str | None,
    genesis: Path | None,
    trust_height: int | None,
    trust_hash: str | None,
) -> None:
    """Make a light node's FOLDER with its trust root.

    A block's hash pins its validators too, and the chain id the fault model. A chain with a long
    past takes a block of the last days: from the genesis document, validators who left are
    believed.

    \b
    Examples:
      hansa light init ./light --from http://127.0.0.1:27001 --chain-id HEX
      hansa light init ./light --from http://127.0.0.1:27001 --genesis genesis.json \\
          --trust-height 52100 --trust-hash HEX
    """
    from cli.client import Client
    from cli.light.following import pinned_root
    from cli.light.store import LightStore
    from consensus.light import Trusted
    from genesis.document import GenesisDocument
    from node.keystore import write_whole

    if genesis is None and chain_id is None:
        raise InputError("TRUST_MISSING", "give --chain-id or --genesis, from a source you trust")
    if (trust_height is None) != (trust_hash is None):
        raise InputError("TRUST_MISSING", "--trust-height and --trust-hash belong together")
    with Client(urls) as client:
        if genesis is not None:
            document = GenesisDocument.load(genesis)
        else:
            raw = json.dumps(client.genesis()).encode()
            document = GenesisDocument.from_file_bytes(raw, "the node's genesis document")
        require_chain(document, chain_id)
        if trust_height is None or trust_hash is None:
            root = Trusted.genesis(
                document.chain_id,
                document.params.fault_model,
                document.time_ms,
                document.validator_set(),
            )
        else:
            pinned = _hash(trust_hash)
            root = pinned_root(client, document, trust_height, pinned, _now_ms())
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / GENESIS, document.file_bytes, mode=0o644)
    settings = json.dumps({"nodes": list(urls)}, indent=2).encode() + b"\n"
    write_whole(folder / NODES, settings, mode=0o644)
    LightStore(folder, root).close()
    told = {
        "folder": str(folder),
        "chain_id": document.chain_id.hex(),
        "trust_root": root.height,
        "nodes": len(urls),
    }
    if current().json:
        output.print_json(told)
    else:
        click.echo(output.fields(told))
        if len(urls) == 1:
            output.say("One node alone can withhold what is new: give --from twice")


def _hash(text: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != 32:
        raise InputError("TRUST_MISSING", "--trust-hash is 64 hex digits")
    return found


def _open(folder: Path) -> LightClient:
    """Raises InputError and LocalFault of the store."""
    from cli.client import Client
    from cli.light.following import LightClient, Source
    from cli.light.store import LightStore
    from genesis.document import GenesisDocument
    from node.keystore import read_limited

    document = GenesisDocument.load(folder / GENESIS)
    try:
        urls = json.loads(read_limited(folder / NODES, 1 << 16, "light node"))["nodes"]
        sources = [Source(str(url), Client(str(url))) for url in urls]
    except (ValueError, KeyError, TypeError):
        raise InputError("CONFIG_INVALID", f"{folder / NODES}: expected a list of nodes") from None
    return LightClient(LightStore(folder), document, sources, _now_ms)


@light.command()
@click.argument("folder", type=FOLDER)
@click.option("--listen", default=LISTEN, show_default=True, metavar="IP:PORT",
              help="Where to answer; loopback only, no token is asked for.")  # fmt: skip
@json_option
def run(folder: Path, listen: str) -> None:
    """Follow the chain and answer its API, until SIGTERM or Ctrl-C.

    A fork that is found is kept, and every answer refused from then on, after a restart too.

    \b
    Examples:
      hansa light run ./light
      hansa query identity organisation '{"id": "4012345000009"}' --node http://127.0.0.1:27090
    """
    import ipaddress

    import trio

    from node import log
    from p2p.ports import parse_address

    host, _ = parse_address(listen, listening=True)
    if not ipaddress.ip_address(host).is_loopback:
        raise InputError("CONFIG_INVALID", "a light node listens on loopback: it asks no token")
    log.configure("info", "json" if current().json else "console")
    found = _open(folder)
    trio.run(serve, found, listen)


async def serve(found: LightClient, listen: str) -> None:
    """Answer until a signal to stop comes."""
    import trio

    from cli.light.service import LightService, Marked
    from node.api.app import make_app
    from node.api.server import serve_api

    service = LightService(found)
    app = make_app(service)
    app.add_middleware(Marked, light=found)

    async with trio.open_nursery() as nursery:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            address = await nursery.start(serve_api, app, listen)
            click.echo(f"The light node answers at http://{address}")
            sys.stdout.flush()
            nursery.start_soon(service.follow)
            async for _ in signals:
                nursery.cancel_scope.cancel()
                break


@light.command()
@click.argument("folder", type=FOLDER)
@json_option
def status(folder: Path) -> None:
    """What a stopped light node knows, after asking its nodes once. Ends with 1 after a fork.

    \b
    Examples:
      hansa light status ./light
    """
    from cli.light.service import LightService

    found = _open(folder)
    try:
        found.update()
    except InputError as error:
        output.say(str(error))
    told: dict[str, Any] = LightService(found).status()
    if current().json:
        output.print_json(told)
    else:
        rows = {name: one for name, one in told.items() if not isinstance(one, list)}
        click.echo(output.fields(rows))
        nodes = [(one["url"], one["height"], one["says"]) for one in told["nodes"]]
        click.echo("\n" + output.table(("node", "height", "says"), nodes))
    if told["forks"]:
        click.get_current_context().exit(1)
