"""From a genesis document to the state of block 0."""

from __future__ import annotations

from typing import Any, Final

from consensus.params import Params
from contracts.runtime.executor import BlockContext, bootstrap
from contracts.runtime.registry import Registry
from genesis.document import GenesisDocument, GenesisPeer, GenesisValidator

# Block 0 is agreed on by seals, not proposed by anybody.
NO_PROPOSER: Final = bytes(32)


def initial_state(document: GenesisDocument, registry: Registry) -> dict[bytes, bytes]:
    """Keys and values of block 0, made by the contracts' own genesis methods: ``registry`` has
    those of the document."""
    block = BlockContext(
        chain_id=document.chain_id, height=0, time_ms=document.time_ms, proposer=NO_PROPOSER
    )
    changes = bootstrap(registry, block, genesis_arguments(document))
    return {key: value for key, value in changes.items() if value is not None}


def check_start(document: GenesisDocument) -> None:
    """Whether block 0 can be made: the contracts themselves have the last word on what they take.

    Raises InputError GENESIS_INVALID or CONTRACT_REFUSED.
    """
    initial_state(document, Registry.of(document.packages))


def genesis_arguments(document: GenesisDocument) -> dict[str, dict[str, Any]]:
    """The arguments of each contract's genesis method."""
    return {
        "identity": {
            "organisations": [
                {
                    "id": one.id,
                    "name": one.name,
                    "roles": list(one.roles),
                    "admin_key": one.admin_key,
                }
                for one in document.organisations
            ]
        },
        "governance": {
            "validators": [
                {"name": one.name, "key": one.consensus_key, "organisation": one.organisation}
                for one in document.validators
            ],
            "nodes": _nodes(document),
            "params": {name: getattr(document.params, name) for name, _ in Params.kinds()},
            "packages": [
                {
                    "name": one.name,
                    "version": one.version,
                    "runtime": one.runtime,
                    "files": [{"path": file.path, "text": file.text} for file in one.files],
                }
                for one in document.packages
            ],
        },
    }


def _nodes(document: GenesisDocument) -> list[dict[str, Any]]:
    def node(
        one: GenesisValidator | GenesisPeer, kind: str, consensus_key: bytes
    ) -> dict[str, Any]:
        return {
            "network_key": one.network_key,
            "name": one.name,
            "organisation": one.organisation,
            "kind": kind,
            "consensus_key": consensus_key,
            "addresses": list(one.addresses),
        }

    validators = [node(one, "validator", one.consensus_key) for one in document.validators]
    return validators + [node(one, one.kind, b"") for one in document.peers]
