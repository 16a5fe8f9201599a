"""The contract modules that a chain runs, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

from consensus.primitives.codec import encode
from consensus.primitives.crypto import sha256
from consensus.primitives.errors import InputError, LocalFault
from contracts.runtime.package import RUNTIME, Package, package_of
from contracts.runtime.steps import Meter
from contracts.sdk.contract import Contract
from contracts.sdk.methods import Method, methods_of
from contracts.sdk.state import Layout

SUPPORTED_RUNTIMES: Final = frozenset((RUNTIME,))
"""The versions of SDK types, step table and calling rules that this software keeps."""
RESERVED_NAMES: Final = frozenset(("consensus", "due"))
"""Names under which the state holds something else than a contract's."""
KEPT_METHODS: Final = (
    ("identity", "caller", "query"),
    ("governance", "activate", "timed"),
    ("governance", "failed", "timed"),
    ("governance", "vote", "call"),
    ("governance", "upload", "call"),
    ("governance", "propose_contract", "call"),
)
"""Contract, method, kind: without these no transaction, or no later upgrade, could ever run."""

ROOT: Final = Path(__file__).parents[2]
BUILTIN: Final = (
    ("contracts/system/people.py", "contracts/system/identity.py"),
    (
        "contracts/system/changes.py",
        "contracts/system/voting.py",
        "contracts/system/governance.py",
    ),
    ("contracts/system/usage.py",),
    ("contracts/system/vault.py",),
    ("contracts/trade/days.py", "contracts/trade/calendar.py"),
    (
        "contracts/compliance/ownership.py",
        "contracts/compliance/compliance_records.py",
        "contracts/compliance/compliance.py",
    ),
    (
        "contracts/supply/things.py",
        "contracts/supply/lineage.py",
        "contracts/supply/holds.py",
        "contracts/supply/trade_items.py",
        "contracts/supply/stock.py",
        "contracts/supply/making.py",
        "contracts/supply/moving.py",
        "contracts/supply/batch.py",
    ),
    (
        "contracts/supply/recall_records.py",
        "contracts/supply/recall_notices.py",
        "contracts/supply/recall_returns.py",
        "contracts/supply/recall_board.py",
        "contracts/supply/recall.py",
    ),
    ("contracts/supply/epcis_records.py", "contracts/supply/epcis.py"),
    ("contracts/supply/quality_records.py", "contracts/supply/quality.py"),
    (
        "contracts/supply/dscsa_records.py",
        "contracts/supply/dscsa_partners.py",
        "contracts/supply/dscsa_trading.py",
        "contracts/supply/dscsa_cases.py",
        "contracts/supply/dscsa.py",
    ),
    (
        "contracts/logistics/codes.py",
        "contracts/logistics/geometry.py",
        "contracts/logistics/shipment_records.py",
        "contracts/logistics/tracking.py",
        "contracts/logistics/movement.py",
        "contracts/logistics/shipment.py",
    ),
    ("contracts/trade/bill_records.py", "contracts/trade/bill.py"),
    (
        "contracts/trade/days.py",
        "contracts/trade/terms.py",
        "contracts/trade/credit_records.py",
        "contracts/trade/examination.py",
        "contracts/trade/credit_book.py",
        "contracts/trade/undertaking.py",
        "contracts/trade/presenting.py",
        "contracts/trade/credit.py",
    ),
    (
        "contracts/finance/exchange.py",
        "contracts/finance/claims_records.py",
        "contracts/finance/notes.py",
        "contracts/finance/claims.py",
    ),
    (
        "contracts/finance/escrow_records.py",
        "contracts/finance/trust.py",
        "contracts/finance/escrow.py",
    ),
    ("contracts/finance/invoices_records.py", "contracts/finance/invoices.py"),
)
"""The files of the contracts that come with the node, in the order that genesis runs them."""


class Module:
    """A contract class with its methods ready to run. Raises TypeError for a wrong declaration."""

    def __init__(self, contract: type[Contract], package: Package | None = None) -> None:
        self.contract = contract
        self.package = package
        self.name = contract.name
        if self.name in RESERVED_NAMES:
            raise TypeError(f"no contract can be called {self.name}")
        self.methods: dict[str, Method] = methods_of(contract)
        self.layout = Layout(contract)
        self.genesis = self._only("genesis")
        self.migrate = self._only("migrate")

    def _only(self, kind: str) -> Method | None:
        return next((one for one in self.methods.values() if one.kind == kind), None)

    @cached_property
    def digest(self) -> bytes:
        """Hash of name, version, runtime and source."""
        if self.package is not None:
            return self.package.manifest.digest
        classes = [base for base in self.contract.__mro__ if issubclass(base, Contract)][:-1]
        paths = dict.fromkeys(Path(inspect.getfile(base)) for base in classes)
        texts = [path.read_text(encoding="utf-8") for path in paths]
        return sha256(encode([self.name, self.contract.version, RUNTIME, texts]))


class Registry:
    """Modules by name; genesis runs in the order given. All run on one meter, so one at a time.

    A chain's registry is made :meth:`of` packages. Tests may give native classes, which are not
    metered but for what they have the runtime do.
    """

    def __init__(self, contracts: Iterable[type[Contract]] = ()) -> None:
        self.meter = Meter()
        self.on_fault: Callable[[Exception], None] | None = None
        """Told of what contract code raised unexpectedly, before only its code is left."""
        self._modules: dict[str, Module] = {}
        for contract in contracts:
            self._add(Module(contract))

    @classmethod
    def of(cls, packages: Iterable[Package]) -> Registry:
        """Raises InputError CONTRACT_REFUSED, LocalFault RUNTIME_UNKNOWN."""
        return cls().with_packages(packages)

    def with_packages(self, packages: Iterable[Package]) -> Registry:
        """A registry of these packages, on the same meter, with the modules of unchanged ones.

        Raises InputError CONTRACT_REFUSED, LocalFault RUNTIME_UNKNOWN.
        """
        made = Registry()
        made.meter = self.meter
        made.on_fault = self.on_fault
        for package in packages:
            known = self._modules.get(package.name)
            if known is not None and known.package == package:
                made._add(known)
            else:
                made._add(_loaded(package, self.meter))
        return made

    def _add(self, module: Module) -> None:
        if module.name in self._modules:
            raise ValueError(f"two contracts called {module.name}")
        self._modules[module.name] = module

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def get(self, name: str) -> Module | None:
        return self._modules.get(name)

    @property
    def packages(self) -> tuple[Package, ...]:
        """Those that the modules come from; native classes have none."""
        return tuple(module.package for module in self if module.package is not None)

    def schema(self) -> dict[str, Any]:
        """contract -> version, text, what of its state has an audit trail, and methods with their
        arguments as JSON Schema."""
        return {
            module.name: {
                "version": module.contract.version,
                "doc": inspect.getdoc(module.contract) or "",
                "records": module.layout.trail,
                "methods": {
                    name: method.schema()
                    for name, method in module.methods.items()
                    if method.kind in ("call", "query", "check")
                },
            }
            for module in self
        }

    @cached_property
    def digest(self) -> bytes:
        """The contracts hash: over each module's name, version, runtime and sources."""
        return contracts_hash({module.name: module.digest for module in self})


def contracts_hash(digests: Mapping[str, bytes]) -> bytes:
    """Of modules' or packages' digests, by name."""
    return sha256(encode(["hansa/contracts/2", [digests[name] for name in sorted(digests)]]))


def unknown_runtime(name: str, runtime: int) -> LocalFault:
    return LocalFault(
        "RUNTIME_UNKNOWN",
        f"contract {name} is for runtime {runtime}, which this software lacks: install the"
        " release in use",
    )


def _loaded(package: Package, meter: Meter) -> Module:
    from contracts.runtime.loader import load

    if package.runtime not in SUPPORTED_RUNTIMES:
        raise unknown_runtime(package.name, package.runtime)
    try:
        module = Module(load(package, meter), package)
    except TypeError as error:
        raise InputError("CONTRACT_REFUSED", f"{package.name}: {error}") from None
    for contract, method, kind in KEPT_METHODS:
        found = module.methods.get(method)
        if contract == module.name and (found is None or found.kind != kind):
            raise InputError("CONTRACT_REFUSED", f"{contract} keeps its {kind} {method}")
    return module


@cache
def builtin_packages() -> tuple[Package, ...]:
    """The contracts that come with the node, from their installed sources."""
    return tuple(
        package_of([(path, (ROOT / path).read_text(encoding="utf-8")) for path in paths])
        for paths in BUILTIN
    )


@cache
def builtin_registry() -> Registry:
    """The modules that come with the node, loaded once. For tests and tools that run no chain."""
    return Registry.of(builtin_packages())
