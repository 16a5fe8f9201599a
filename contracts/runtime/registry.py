"""The contract modules that a chain runs, by name."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from consensus.primitives.codec import encode
from consensus.primitives.crypto import sha256
from contracts.sdk.contract import Contract, Method, methods_of

RUNTIME: Final = 1  # the version of SDK types, step table and calling rules


class Module:
    """A contract class with its methods ready to run."""

    def __init__(self, contract: type[Contract]) -> None:
        self.contract = contract
        self.name = contract.name
        self.methods: dict[str, Method] = methods_of(contract)
        starts = [method for method in self.methods.values() if method.kind == "genesis"]
        if len(starts) > 1:
            raise TypeError(f"{self.name}: more than one genesis method")
        self.genesis: Method | None = starts[0] if starts else None

    @cached_property
    def source_digest(self) -> bytes:
        """SHA-256 over the source texts of the contract and of what it derives from."""
        classes = [base for base in self.contract.__mro__ if issubclass(base, Contract)][:-1]
        paths = dict.fromkeys(Path(inspect.getfile(base)) for base in classes)
        return sha256(encode([path.read_text(encoding="utf-8") for path in paths]))


class Registry:
    """Modules by name; genesis runs in the order given."""

    def __init__(self, contracts: Iterable[type[Contract]]) -> None:
        self._modules: dict[str, Module] = {}
        for contract in contracts:
            if contract.name in self._modules:
                raise ValueError(f"two contracts called {contract.name}")
            self._modules[contract.name] = Module(contract)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def get(self, name: str) -> Module | None:
        return self._modules.get(name)

    def schema(self) -> dict[str, Any]:
        """contract -> version, text, and methods with their arguments as JSON Schema."""
        return {
            module.name: {
                "version": module.contract.version,
                "doc": inspect.getdoc(module.contract) or "",
                "methods": {
                    name: method.schema()
                    for name, method in module.methods.items()
                    if method.kind != "genesis"
                },
            }
            for module in self
        }

    @cached_property
    def digest(self) -> bytes:
        """The contracts hash: over the runtime version and each module's name, version, source."""
        modules = sorted((m.name, m.contract.version, m.source_digest) for m in self)
        return sha256(encode(["hansa/contracts/1", RUNTIME, modules]))


def builtin_registry() -> Registry:
    """The modules that come with the node."""
    from contracts.supply.batch import Batch
    from contracts.system.identity import Identity

    return Registry((Identity, Batch))
