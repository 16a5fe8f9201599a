"""A light node's figures: its store after many blocks, and the time to its first proven answer.

    python -m scripts.bench_light [--blocks 1000000] [--turns 50] [--devnet]

The store is filled with headers of a real form, one commit for each block as if every one had been
followed, and with changes of the set of validators; only the waiting for the disk is left out.
With ``--devnet`` a light node is made and started on a network of four validators and a full node,
and the time is taken from the start of its process to its first proven answer.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from cli.light.store import LightStore
from consensus.light import Trusted
from consensus.primitives.crypto import sha256
from tests.e2e.support import light_node
from tests.node.support import OneChain


def storage(folder: Path, blocks: int, turns: int) -> dict[str, Any]:
    """The store's size in bytes; it is opened again and read at the end."""
    document = OneChain(validators=7).document
    validators = document.validator_set()
    root = Trusted.genesis(document.chain_id, "byzantine", document.time_ms, validators)
    store = LightStore(folder, root)
    store._db.execute("PRAGMA synchronous = OFF")
    header = OneChain().chain.header
    began = time.monotonic()
    for height in range(1, blocks + 1):
        now_ms = document.time_ms + height * 1000
        own = replace(
            header, height=height, time_ms=now_ms, state_root=sha256(height.to_bytes(8, "big"))
        )
        one = Trusted(document.chain_id, "byzantine", height, now_ms, own, validators)
        store.keep([one] if height % (blocks // turns) == 0 else [], one)
    took = time.monotonic() - began
    store.close()
    again = LightStore(folder)
    found = again.chain()
    again.close()
    assert found[-1].height == blocks and len(found) == turns + 1, "all of it is there"
    size = sum(one.stat().st_size for one in folder.iterdir())
    return {"blocks": blocks, "set_changes": turns, "store_bytes": size, "filled_s": round(took, 1)}


def first_answer(folder: Path, tries: int = 5) -> dict[str, Any]:
    """Seconds from the start of `hansa light run` to a query's proven answer, each in a new
    process; the first of them follows from the genesis document."""
    from tests.e2e.support import devnet, hansa

    with devnet(folder / "net") as net:
        urls = [part for one in net.nodes[:2] for part in ("--from", one.url)]
        hansa(net.network, "light", "init", folder / "light", *urls, "--chain-id",
              net.chain_id.hex())  # fmt: skip
        took = []
        for _ in range(tries):
            began = time.monotonic()
            with light_node(folder / "light", net.network) as url:
                answer = httpx.post(
                    f"{url}/v1/query/governance/params_now", json={}, trust_env=False
                )
                took.append(round(time.monotonic() - began, 2))
                assert answer.status_code == 200, answer.text
    return {"first_answer_s": took[0], "restarted_s": took[1:]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=1_000_000)
    parser.add_argument("--turns", type=int, default=50)
    parser.add_argument("--devnet", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if given.devnet:
            print(json.dumps(first_answer(Path(scratch))))
            return
        print(json.dumps(storage(Path(scratch), given.blocks, given.turns)))


if __name__ == "__main__":
    main()
