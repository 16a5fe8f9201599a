"""Who is who among the admitted nodes: network keys, consensus keys, names.

It follows the state: :meth:`Roster.update` is called at every block that changed it.
"""

from __future__ import annotations

from collections.abc import Iterable

from consensus.primitives.errors import InputError
from consensus.validators import ValidatorSet
from contracts.runtime.system import Node
from node import log
from p2p.ports import Network, PeerAddress, parse_address

_log = log.get("roster")


class Roster:
    """``validators``: network key -> consensus key of those that vote in the next block."""

    def __init__(self) -> None:
        self.validators: dict[bytes, bytes] = {}
        self._members: dict[bytes, Node] = {}
        # Consensus keys that were replaced stay: their late votes are still their node's.
        self._nodes: dict[bytes, bytes] = {}

    def update(self, members: Iterable[Node], validators: ValidatorSet) -> None:
        """The nodes that are admitted now, and who of them votes."""
        self._members = {one.network_key: one for one in members}
        self._nodes = {key: node for key, node in self._nodes.items() if node in self._members}
        self._nodes |= {
            one.consensus_key: one.network_key
            for one in self._members.values()
            if one.consensus_key
        }
        self.validators = {
            self._nodes[key]: key for key in validators.index_of if key in self._nodes
        }

    def __contains__(self, network_key: object) -> bool:
        return network_key in self._members

    def name(self, network_key: bytes) -> str:
        found = self._members.get(network_key)
        return network_key.hex()[:12] if found is None else found.name

    def organisation_of(self, network_key: bytes) -> str:
        """Whose node it is; empty for one that is not admitted."""
        found = self._members.get(network_key)
        return "" if found is None else found.organisation

    def network_key(self, consensus_key: bytes) -> bytes | None:
        """Whose votes these are, also with a key that was replaced lately."""
        return self._nodes.get(consensus_key)

    def connected_validators(self, network: Network) -> list[bytes]:
        """Network keys of the validators that can be sent to now, in a fixed order."""
        return [key for key in network.connected() if key in self.validators]

    def peers(self) -> list[PeerAddress]:
        """Everybody admitted, this node too.

        What was voted stops no node: a key or an address that is none is left out and logged.
        """
        found = []
        for one in self._members.values():
            addresses = tuple(address for address in one.addresses if _is_usable(one, address))
            try:
                found.append(PeerAddress(one.network_key, one.name, addresses))
            except InputError as error:
                _log.warning("node left out", peer=one.name, code=error.code, reason=error.message)
        return found


def _is_usable(node: Node, address: str) -> bool:
    try:
        parse_address(address)
    except InputError as error:
        _log.warning("address left out", peer=node.name, code=error.code, reason=error.message)
        return False
    return True
