"""`hansa light`: a node that keeps headers only, and believes no node that it asks."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cli import output
from cli.proof import require_chain
from cli.settings import current, json_option, passphrase_option
from consensus.primitives.errors import InputError

if TYPE_CHECKING:
    from cli.http import httpx
    from cli.light.following import LightClient

FOLDER: Final = click.Path(path_type=Path, file_okay=False)
GENESIS: Final = "genesis.json"
NODES: Final = "light.json"
LISTEN: Final = "127.0.0.1:27090"
LIBP2P: Final = "libp2p://"


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


@contextmanager
def _peering(
    urls: Sequence[str], network_key: Path | None, chain_id: bytes
) -> Iterator[httpx.BaseTransport | None]:
    """What carries questions to those of the nodes that are named by libp2p addresses; None where
    none is: libp2p takes a second to load.

    Raises InputError BAD_ADDRESS, KEY_MISSING, KEY_KIND_UNKNOWN and those of the key's file;
    LocalFault KEY_IN_USE.
    """
    named = [url for url in urls if url.startswith(LIBP2P)]
    if not named:
        yield None
        return
    from cli.light.peering import Peering, parse_source
    from node.files import KeyLock
    from node.keystore import key_info, load_key

    peers = [parse_source(url) for url in named]
    if network_key is None:
        raise InputError("KEY_MISSING", "a libp2p address needs --network-key, an admitted one")
    info = key_info(network_key)
    if info.kind != "network":
        raise InputError("KEY_KIND_UNKNOWN", f"{network_key} holds no network key: {info.kind}")
    seed = load_key(network_key, current().passphrase(f"Passphrase of {network_key}"))
    with ExitStack() as stack:
        lock = KeyLock(info.key)  # peers keep one link with a key: two processes would fight
        lock.acquire()
        stack.callback(lock.release)
        yield stack.enter_context(Peering(seed, chain_id, peers))


@light.command()
@click.argument("folder", type=FOLDER)
@click.option("--from", "urls", metavar="URL", multiple=True, required=True,
              help="A full node's API, or libp2p://HOST:PORT/KEY with its network key in hex; give "
              "several, so that they watch each other.")  # fmt: skip
@click.option("--network-key", metavar="FILE",
              type=click.Path(path_type=Path, dir_okay=False, exists=True),
              help="This node's own key, which the consortium admitted: for libp2p.")  # fmt: skip
@click.option("--chain-id", metavar="HEX", help="The chain, from a source you trust.")
@click.option("--genesis", type=click.Path(path_type=Path, dir_okay=False, exists=True),
              help="The genesis document, from a source you trust (else a node's).")  # fmt: skip
@click.option("--trust-height", type=click.IntRange(1), help="Start from this block, not from the "
              "genesis document.")  # fmt: skip
@click.option("--trust-hash", metavar="HEX", help="That block's hash, from a source you trust.")
@passphrase_option
@json_option
def init(
    folder: Path,
    urls: tuple[str, ...],
    network_key: Path | None,
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
      hansa light init ./light --from libp2p://node1.example.org:8630/KEY --chain-id HEX \\
          --network-key light.key.json
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
    document = None if genesis is None else GenesisDocument.load(genesis)
    pinned_chain = document.chain_id if document else _hash(chain_id or "", "--chain-id")
    with (
        _peering(urls, network_key, pinned_chain) as peers,
        Client(urls, peers=peers) as client,
    ):
        if document is None:
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
            pinned = _hash(trust_hash, "--trust-hash")
            root = pinned_root(client, document, trust_height, pinned, _now_ms())
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / GENESIS, document.file_bytes, mode=0o644)
    settings: dict[str, Any] = {"nodes": list(urls)}
    if network_key is not None:
        settings["network_key"] = str(network_key.resolve())
    write_whole(folder / NODES, json.dumps(settings, indent=2).encode() + b"\n", mode=0o644)
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


def _hash(text: str, option: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != 32:
        raise InputError("TRUST_MISSING", f"{option} is 64 hex digits")
    return found


@contextmanager
def _opened(folder: Path) -> Iterator[LightClient]:
    """Raises InputError and LocalFault of the store, and what :func:`_peering` raises."""
    from cli.client import Client
    from cli.light.following import LightClient, Source
    from cli.light.store import LightStore
    from genesis.document import GenesisDocument
    from node.code_cache import use_code_cache
    from node.keystore import read_limited

    use_code_cache()  # else its contracts would be compiled at each start, for more than a second
    document = GenesisDocument.load(folder / GENESIS)
    try:
        settings = json.loads(read_limited(folder / NODES, 1 << 16, "light node"))
        urls = [str(url) for url in settings["nodes"]]
        key = settings.get("network_key")
        network_key = None if key is None else folder / key
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError("CONFIG_INVALID", f"{folder / NODES}: expected a list of nodes") from None
    with _peering(urls, network_key, document.chain_id) as peers:
        sources = [Source(url, Client(url, peers=peers)) for url in urls]
        yield LightClient(LightStore(folder), document, sources, _now_ms)


@light.command()
@click.argument("folder", type=FOLDER)
@click.option("--listen", default=LISTEN, show_default=True, metavar="IP:PORT",
              help="Where to answer; loopback only, no token is asked for.")  # fmt: skip
@passphrase_option
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
    with _opened(folder) as found:
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
@passphrase_option
@json_option
def status(folder: Path) -> None:
    """What a stopped light node knows, after asking its nodes once. Ends with 1 after a fork.

    \b
    Examples:
      hansa light status ./light
    """
    from cli.light.service import LightService

    with _opened(folder) as found:
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
