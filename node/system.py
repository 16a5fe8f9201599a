"""What the chain's own record says of the next block: who votes and is admitted, by which rules."""

from __future__ import annotations

from dataclasses import dataclass

from consensus.params import Params
from consensus.primitives.errors import CodecError, LocalFault
from consensus.validators import ValidatorSet
from contracts.runtime.overlay import StateReader
from contracts.runtime.system import Node, read_nodes, read_params, read_validators


@dataclass(frozen=True)
class System:
    """What the governance contract's state says of the next block."""

    validators: ValidatorSet
    params: Params
    members: tuple[Node, ...]

    @classmethod
    def read(cls, state: StateReader) -> System:
        """Raises LocalFault STORE_CORRUPT."""
        try:
            return cls(read_validators(state), read_params(state), read_nodes(state))
        except (CodecError, ValueError, TypeError) as error:
            raise LocalFault("STORE_CORRUPT", f"governance's state: {error}") from None
