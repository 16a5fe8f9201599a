"""The governance contract's state as the node itself reads it.

What governance writes and this module reads is one layout: maps ``validators``, ``nodes``,
``params``, ``packages``, ``sources`` and ``schedule`` of ``contracts/system/governance.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any, Final

import msgpack

from consensus.params import Params
from consensus.primitives.codec import encode
from consensus.primitives.errors import CodecError, HansaError, LocalFault
from consensus.primitives.keys import decode_key, encode_key, lower_bound, prefix_range
from consensus.validators import Validator, ValidatorSet
from contracts.runtime.overlay import StateReader
from contracts.runtime.package import Manifest, Package, SourceFile

GOVERNANCE: Final = "governance"
VOTER_ROLE: Final = "corporate_admin"
PACKAGES_HEAD: Final = prefix_range(GOVERNANCE, "packages")[0]
FOLLOWED_HEADS: Final = tuple(
    prefix_range(GOVERNANCE, name)[0] for name in ("validators", "nodes", "params")
)

_PARAM_NAMES: Final = frozenset(field.name for field in fields(Params))


@dataclass(frozen=True)
class Node:
    """A node that the consortium admits. ``kind`` is "validator" or "full", ``consensus_key``
    empty for the latter."""

    network_key: bytes
    name: str
    organisation: str
    kind: str
    consensus_key: bytes
    addresses: tuple[str, ...]


def _values(state: StateReader, name: str) -> Iterator[Any]:
    for _, raw in state.scan(*prefix_range(GOVERNANCE, name)):
        yield msgpack.unpackb(raw)


def read_validators(state: StateReader) -> ValidatorSet:
    """The validators by their numbers, which is the order that proposers rotate in."""
    members = [
        Validator(name, key, organisation)
        for _, name, key, organisation, *_ in _values(state, "validators")
    ]
    return ValidatorSet(tuple(members))


def read_nodes(state: StateReader) -> tuple[Node, ...]:
    """The admitted nodes, by network key."""
    return tuple(
        Node(network_key, name, organisation, kind, consensus_key, tuple(addresses))
        for network_key, name, organisation, kind, consensus_key, addresses, *_ in _values(
            state, "nodes"
        )
    )


def read_params(state: StateReader) -> Params:
    """The consortium's parameters. Raises LocalFault RUNTIME_UNKNOWN for one that this software
    does not know."""
    found = {}
    for key, raw in state.scan(*prefix_range(GOVERNANCE, "params")):
        name = str(decode_key(key)[2][0])
        if name not in _PARAM_NAMES:
            raise LocalFault(
                "RUNTIME_UNKNOWN",
                f"this software does not know the parameter {name}: install the release in use",
            )
        found[name] = msgpack.unpackb(raw)
    return Params(**found)


def runtime_in_force(state: StateReader) -> int | None:
    """The newest runtime version that the consortium has agreed to use; None without governance."""
    raw = state.get(encode_key(GOVERNANCE, "params", ("runtime",)))
    return None if raw is None else int(msgpack.unpackb(raw))


def read_packages(state: StateReader) -> tuple[Package, ...]:
    """The contracts in force, by name. Raises LocalFault STORE_CORRUPT."""
    return tuple(_package(state, plain) for plain in _values(state, "packages"))


def _package(state: StateReader, plain: Any) -> Package:
    try:
        manifest = Manifest.from_plain(plain)
        files = []
        for file in manifest.files:
            raw = state.get(encode_key(GOVERNANCE, "sources", (file.sha256,)))
            source = None if raw is None else SourceFile(file.path, msgpack.unpackb(raw))
            if source is None or source.sha256 != file.sha256:
                raise LocalFault("STORE_CORRUPT", f"the source {file.path} is missing or altered")
            files.append(source)
        return Package(manifest.name, manifest.version, manifest.runtime, tuple(files))
    except CodecError as error:
        raise LocalFault("STORE_CORRUPT", f"a contract's manifest: {error.message}") from None


def package_values(package: Package) -> dict[bytes, bytes]:
    """What governance's maps hold for a package."""
    found = {
        encode_key(GOVERNANCE, "sources", (file.sha256,)): encode(file.text)
        for file in package.files
    }
    found[encode_key(GOVERNANCE, "packages", (package.name,))] = package.manifest.raw
    return found


def package_keys(package: Package) -> tuple[bytes, ...]:
    """Their keys."""
    return tuple(package_values(package))


def is_readable(state: StateReader) -> bool:
    """Whether a node can go by what governance's maps hold. Raises LocalFault RUNTIME_UNKNOWN."""
    try:
        validators, params, nodes = read_validators(state), read_params(state), read_nodes(state)
        for wire in (validators, params):
            type(wire).decode(wire.raw)
        admitted = all(
            type(text) is kind
            for node in nodes
            for text, kind in (
                (node.network_key, bytes),
                (node.consensus_key, bytes),
                (node.name, str),
                (node.organisation, str),
                *((address, str) for address in node.addresses),
            )
        )
        return admitted and not params.mistakes()
    except (HansaError, ValueError, TypeError) as error:
        if isinstance(error, LocalFault):
            raise
        return False


def voters(state: StateReader, proposal: int) -> list[bytes]:
    """The keys that said yes to a proposal; none where another version keeps votes otherwise."""
    start = lower_bound(GOVERNANCE, "votes", (proposal,))
    votes = (msgpack.unpackb(raw) for _, raw in state.scan(start, start + b"\xff"))
    return [vote[1] for vote in votes if type(vote) is list and vote[2:3] == [True]]


def scheduled(state: StateReader, height: int, count: int) -> list[tuple[bytes, int]]:
    """The first decided proposals that come into force at or below a height: their keys in
    ``schedule``, and numbers."""
    start, _ = prefix_range(GOVERNANCE, "schedule")
    stop = lower_bound(GOVERNANCE, "schedule", (height + 1,))
    return [(key, msgpack.unpackb(raw)) for key, raw in islice(state.scan(start, stop), count)]
