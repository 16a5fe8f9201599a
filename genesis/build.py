"""From a genesis document to the state of block 0."""

from __future__ import annotations

from typing import Any, Final

from consensus.primitives.errors import LocalFault
from contracts.runtime.executor import BlockContext, bootstrap
from contracts.runtime.registry import Registry
from genesis.document import GenesisDocument

# Block 0 is agreed on by seals, not proposed by anybody.
NO_PROPOSER: Final = bytes(32)


def initial_state(document: GenesisDocument, registry: Registry) -> dict[bytes, bytes]:
    """Keys and values of block 0, made by the contracts' own genesis methods.

    Raises LocalFault CONTRACTS_DIFFER when this software's contracts are not those that the
    consortium sealed: it would compute another state than the others.
    """
    if registry.digest != document.contracts_hash:
        raise LocalFault(
            "CONTRACTS_DIFFER",
            f"{document.name} was sealed with contracts {document.contracts_hash.hex()[:16]}..,"
            f" this software has {registry.digest.hex()[:16]}..: install the release that the"
            " consortium agreed on",
        )
    block = BlockContext(
        chain_id=document.chain_id, height=0, time_ms=document.time_ms, proposer=NO_PROPOSER
    )
    changes = bootstrap(registry, block, genesis_arguments(document))
    return {key: value for key, value in changes.items() if value is not None}


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
        }
    }
