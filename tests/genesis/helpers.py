"""A small consortium with known keys."""

from __future__ import annotations

from consensus.params import Params
from consensus.primitives.crypto import public_key, sha256
from contracts.runtime.registry import builtin_packages
from genesis.ceremony import Entry, add_entry, new_draft, seal
from genesis.document import (
    GenesisDocument,
    GenesisOrganisation,
    GenesisPeer,
    GenesisValidator,
)

TIME_MS = 1_790_000_000_123
PACKAGES = builtin_packages()
GLNS = ("4012345000009", "9520123000004", "0614141000005", "5412345000013", "4000001000005")


def seed(name: str) -> bytes:
    return sha256(name.encode())


def key(name: str) -> bytes:
    return public_key(seed(name))


def entry(index: int, *, kind: str = "validator", consortium: str = "trade") -> Entry:
    """The signed entry of organisation ``index`` with its one node."""
    name = f"n{index}"
    organisation = GenesisOrganisation(
        GLNS[index - 1], f"Company {index}", ("manufacturer",), key(f"{name} admin")
    )
    addresses = (f"node{index}.example:27000",)
    validator = peer = None
    if kind == "validator":
        validator = GenesisValidator(
            name, organisation.id, key(f"{name} consensus"), key(f"{name} network"), addresses
        )
    else:
        peer = GenesisPeer(name, organisation.id, kind, key(f"{name} network"), addresses)
    seeds = {role: seed(f"{name} {role}") for role in ("admin", "network", "consensus")}
    return Entry(consortium, organisation, validator, peer, {}).signed(seeds)


def draft() -> GenesisDocument:
    """Four validators and a full node, not sealed."""
    document = new_draft("trade", TIME_MS, Params(), PACKAGES)
    for index in range(1, 5):
        document = add_entry(document, entry(index))
    return add_entry(document, entry(5, kind="full"))


def sealed() -> GenesisDocument:
    document = draft()
    for index in range(1, 5):
        document = seal(document, seed(f"n{index} consensus"))
    return document
