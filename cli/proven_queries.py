"""A contract's query, answered here over state that the node must prove.

What the query reads, it reads through proofs, each against the one header that a quorum sealed, and
the code that runs is the one that this header names. So the answer is right and whole: nothing is
left out that the state has. It takes a question to the node for each range and value read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from consensus.primitives.errors import InputError
from contracts.runtime.executor import run_query
from contracts.runtime.overlay import StateReader
from contracts.runtime.registry import Registry, builtin_registry
from contracts.runtime.session import BlockContext
from contracts.runtime.system import read_packages

if TYPE_CHECKING:
    from cli.verifying import Reader, Verified
    from consensus.block import Header


class ReadState:
    """The state after one block, proven part by part. Raises InputError NOT_PROVEN."""

    def __init__(self, reader: Reader, at: Verified) -> None:
        self._reader = reader
        self._height = at.header.height
        self._root = at.header.state_root
        self._values: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        if key not in self._values:
            at, shown = self._reader.state([key], self._height)
            self._require_same(at)
            self._values[key] = shown.get(key)
        return self._values[key]

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        at, pairs = self._reader.range(start, stop, self._height)
        self._require_same(at)
        yield from pairs

    def _require_same(self, at: Verified) -> None:
        if at.header.state_root != self._root:
            raise InputError("NOT_PROVEN", f"two headers of block {self._height} are sealed")


class ProvenQueries:
    """Asks contracts over the newest state, or that after a block, as :meth:`Client.query` would.

    ``seen`` may put something before the state that the questions read.
    """

    def __init__(
        self,
        reader: Reader,
        height: int | None = None,
        seen: Callable[[StateReader], StateReader] = lambda state: state,
    ) -> None:
        self.at = reader.header(height)
        self._state = seen(ReadState(reader, self.at))
        self._registry: Registry | None = None

    def ask(self, contract: str, method: str, args: dict[str, Any]) -> Any:
        """Raises InputError with the query's refusal, or NOT_PROVEN."""
        header = self.at.header
        block = block_context(header)
        if self._registry is None:
            self._registry = in_force(self.at.header, self._state)
        return run_query(self._registry, self._state, block, contract, method, args)


def block_context(header: Header) -> BlockContext:
    """What queries may know of the block that they are asked after."""
    return BlockContext(header.chain_id, header.height, header.time_ms, header.proposer)


def in_force(header: Header, state: StateReader) -> Registry:
    """The code that a header names: this release's own, or as it stands in the state after it.

    Raises InputError NOT_PROVEN."""
    if builtin_registry().digest == header.contracts_hash:
        return builtin_registry()
    found = Registry.of(read_packages(state))
    if found.digest != header.contracts_hash:
        raise InputError("NOT_PROVEN", "the header names other contracts than the state has")
    return found
