"""Who is who among the admitted nodes: network keys, consensus keys, names."""

from __future__ import annotations

from dataclasses import dataclass

from genesis.document import GenesisDocument
from p2p.ports import Network, PeerAddress


@dataclass(frozen=True)
class Roster:
    """``validators``: network key -> consensus key; ``names``: network key -> node's name."""

    validators: dict[bytes, bytes]
    names: dict[bytes, str]

    @classmethod
    def of(cls, document: GenesisDocument) -> Roster:
        validators = {one.network_key: one.consensus_key for one in document.validators}
        names = {one.network_key: one.name for one in document.validators}
        names |= {one.network_key: one.name for one in document.peers}
        return cls(validators, names)

    def name(self, network_key: bytes) -> str:
        return self.names.get(network_key, network_key.hex()[:12])

    def network_key(self, consensus_key: bytes) -> bytes | None:
        """The network key of a validator."""
        for network, consensus in self.validators.items():
            if consensus == consensus_key:
                return network
        return None

    def connected_validators(self, network: Network) -> list[bytes]:
        """Network keys of the validators that can be sent to now, in a fixed order."""
        return [key for key in network.connected() if key in self.validators]


def admitted_peers(document: GenesisDocument, me: bytes) -> tuple[PeerAddress, ...]:
    """Every other node of the genesis document."""
    nodes = [(one.network_key, one.name, one.addresses) for one in document.validators]
    nodes += [(one.network_key, one.name, one.addresses) for one in document.peers]
    return tuple(PeerAddress(*node) for node in nodes if node[0] != me)
