"""The genesis document: the consortium, its validators, its rules and its contracts' source.

Every validator seals it.

Its content has canonical bytes like every data type; their hash is the **chain id**, which is part
of everything signed later. A seal is a validator's signature of that hash, so the content is fixed
from the first seal on. Seals are not hashed: they say who agreed, not what was agreed.

People read and edit it as JSON. Mistakes in it are all reported at once.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

from nacl.bindings import crypto_core_ed25519_is_valid_point

from consensus.params import Params
from consensus.primitives.codec import (
    KEY,
    SIGNATURE,
    TIME_MS,
    Items,
    Nested,
    Text,
    UInt,
    Wire,
    encode,
)
from consensus.primitives.crypto import TAG_GENESIS, sha256, verify
from consensus.primitives.errors import CodecError, InputError
from consensus.validators import VALIDATORS_MAX, Validator, ValidatorSet
from contracts.runtime.package import FILE_BYTES_MAX as SOURCE_BYTES_MAX
from contracts.runtime.package import FILES_MAX, Package, SourceFile
from contracts.runtime.registry import contracts_hash
from contracts.sdk.checks import bic_valid, gln_valid, lei_valid
from genesis.reading import Reader, format_time, parse_json

# A draft still lacks members; a complete document lacks at most seals.
Stage = Literal["draft", "complete", "sealed"]

FORMAT: Final = "hansa-genesis/2"
VERSION: Final = 2
FILE_BYTES_MAX: Final = 8 << 20
CONTRACTS_MAX: Final = 64
# What the runtime itself asks, and reads.
CONTRACTS_NEEDED: Final = ("governance", "identity", "usage")
PEERS_MAX: Final = 256
ORGANISATIONS_MAX: Final = 256
ADDRESSES_MAX: Final = 8
ROLES_MAX: Final = 16
TIME_MIN_MS: Final = 946_684_800_000  # 2000-01-01: earlier ones are seconds taken for milliseconds
TIME_MAX_MS: Final = 4_102_444_800_000  # 2100-01-01
# Fewer can't lose one member and go on.
VALIDATORS_MIN: Final = {"byzantine": 4, "crash": 3}

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
ROLE: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
_HOST: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?:\.(?!-)[A-Za-z0-9-]{1,63})*")
_ADDRESSES: Final = Items(Text(262), ADDRESSES_MAX)


@dataclass(frozen=True)
class GenesisOrganisation(Wire):
    """A member of the consortium: GLN, LEI or BIC, and the key that manages its people."""

    id: Annotated[str, Text(20)]
    name: Annotated[str, Text(128)]
    roles: Annotated[tuple[str, ...], Items(Text(32), ROLES_MAX)]
    admin_key: Annotated[bytes, KEY]


@dataclass(frozen=True)
class GenesisValidator(Wire):
    """A node that votes. Its consensus key signs votes, its network key is its peer id."""

    name: Annotated[str, Text(64)]
    organisation: Annotated[str, Text(20)]
    consensus_key: Annotated[bytes, KEY]
    network_key: Annotated[bytes, KEY]
    addresses: Annotated[tuple[str, ...], _ADDRESSES]


@dataclass(frozen=True)
class GenesisPeer(Wire):
    """Another admitted node: ``kind`` is "full". Without addresses it is never dialled."""

    name: Annotated[str, Text(64)]
    organisation: Annotated[str, Text(20)]
    kind: Annotated[str, Text(16)]
    network_key: Annotated[bytes, KEY]
    addresses: Annotated[tuple[str, ...], _ADDRESSES]


@dataclass(frozen=True)
class Seal(Wire):
    """A validator's signature of the chain id."""

    validator: Annotated[str, Text(64)]
    signature: Annotated[bytes, SIGNATURE]


@dataclass(frozen=True)
class GenesisDocument(Wire):
    """See the module's text. ``time_ms`` is the time of block 0."""

    bytes_max: ClassVar[int] = FILE_BYTES_MAX

    version: Annotated[int, UInt(255)]
    name: Annotated[str, Text(64)]
    time_ms: Annotated[int, TIME_MS]
    params: Annotated[Params, Nested(Params)]
    organisations: Annotated[
        tuple[GenesisOrganisation, ...], Items(Nested(GenesisOrganisation), ORGANISATIONS_MAX)
    ]
    validators: Annotated[
        tuple[GenesisValidator, ...], Items(Nested(GenesisValidator), VALIDATORS_MAX)
    ]
    peers: Annotated[tuple[GenesisPeer, ...], Items(Nested(GenesisPeer), PEERS_MAX)]
    packages: Annotated[tuple[Package, ...], Items(Nested(Package), CONTRACTS_MAX)]
    seals: Annotated[tuple[Seal, ...], Items(Nested(Seal), VALIDATORS_MAX)] = ()

    @cached_property
    def chain_id(self) -> bytes:
        """SHA-256 of the canonical content, seals left out."""
        return sha256(encode(self.to_plain()[:-1]))

    @cached_property
    def contracts_hash(self) -> bytes:
        """The hash that block 0's header has."""
        return contracts_hash({one.name: one.manifest.digest for one in self.packages})

    @property
    def sealed(self) -> bool:
        """Whether every validator's seal is there and right, and nobody else's."""
        return not self.seal_mistakes()

    def validator_set(self) -> ValidatorSet:
        """The validators of height 1, in the document's order."""
        return ValidatorSet(
            tuple(
                Validator(one.name, one.consensus_key, one.organisation) for one in self.validators
            )
        )

    def node_of(self, network_key: bytes) -> GenesisValidator | GenesisPeer | None:
        """The admitted node with this peer id."""
        nodes: tuple[GenesisValidator | GenesisPeer, ...] = (*self.validators, *self.peers)
        return next((node for node in nodes if node.network_key == network_key), None)

    def with_seal(self, validator: str, signature: bytes) -> GenesisDocument:
        """A copy with this seal in place of an earlier one; in the validators' order."""
        seals = {seal.validator: seal for seal in self.seals}
        seals[validator] = Seal(validator, signature)
        order = {one.name: index for index, one in enumerate(self.validators)}
        return replace(
            self, seals=tuple(sorted(seals.values(), key=lambda seal: order[seal.validator]))
        )

    # --- mistakes --------------------------------------------------------------------------

    def mistakes(self, *, sealed: bool = True) -> list[str]:
        """Every mistake as a sentence; ``sealed`` False leaves the seals unjudged."""
        found = self._content_mistakes()
        return found + self.seal_mistakes() if sealed else found

    def checked(self, *, sealed: bool = True) -> GenesisDocument:
        """Itself, or InputError GENESIS_INVALID naming every mistake."""
        _refuse(f"genesis document {self.name!r}", self.mistakes(sealed=sealed))
        return self

    def seal_mistakes(self) -> list[str]:
        """Missing, wrong, doubled and foreign seals."""
        keys = {one.name: one.consensus_key for one in self.validators}
        found = _doubles("seals", (seal.validator for seal in self.seals))
        for seal in self.seals:
            key = keys.get(seal.validator)
            if key is None:
                found.append(f"seals.{seal.validator}: is not a validator")
            elif not verify(key, TAG_GENESIS, self.chain_id, seal.signature):
                found.append(
                    f"seals.{seal.validator}: is not this validator's signature of this content"
                )
        present = {seal.validator for seal in self.seals}
        found += [f"seals.{name}: is missing" for name in keys if name not in present]
        return found

    def _content_mistakes(self) -> list[str]:
        found = []
        if self.version != VERSION:
            found.append(f"version: {self.version} is not {VERSION}")
        if not NAME.fullmatch(self.name):
            found.append(f"name: {self.name!r} has other than letters, digits, dots, hyphens")
        if not TIME_MIN_MS <= self.time_ms <= TIME_MAX_MS:
            found.append(f"time: {self.time_ms} ms is not between the years 2000 and 2100")
        found += [f"params.{mistake}" for mistake in self.params.mistakes()]
        minimum = VALIDATORS_MIN.get(self.params.fault_model, 1)
        if len(self.validators) < minimum:
            found.append(
                f"validators: {len(self.validators)}, but the {self.params.fault_model} fault model"
                f" needs {minimum} to go on without one of them"
            )
        found += self._organisation_mistakes()
        found += self._node_mistakes()
        found += self._key_mistakes()
        found += self._contract_mistakes()
        return found

    def _contract_mistakes(self) -> list[str]:
        found = _doubles("contracts", (one.name for one in self.packages))
        present = {one.name for one in self.packages}
        found += [
            f"contracts: {name} is missing" for name in CONTRACTS_NEEDED if name not in present
        ]
        for one in self.packages:
            found += [f"contracts.{one.name}: {finding}" for finding in _findings(one)]
        return found

    def _organisation_mistakes(self) -> list[str]:
        found = _doubles("organisations", (one.id for one in self.organisations))
        found += _doubles("organisations", (one.name for one in self.organisations))
        for one in self.organisations:
            place = f"organisations.{one.id}"
            if mistake := organisation_id_mistake(one.id):
                found.append(f"{place}: {mistake}")
            found += _doubles(f"{place}.roles", one.roles)
            for role in one.roles:
                if not ROLE.fullmatch(role):
                    found.append(f"{place}.roles: {role!r} is not a role, such as manufacturer")
        return found

    def _node_mistakes(self) -> list[str]:
        nodes: list[tuple[str, GenesisValidator | GenesisPeer]] = [
            (f"validators.{one.name}", one) for one in self.validators
        ]
        nodes += [(f"peers.{one.name}", one) for one in self.peers]
        known = {one.id for one in self.organisations}
        found = _doubles("nodes", (node.name for _, node in nodes))
        found += _doubles("addresses", (one for _, node in nodes for one in node.addresses))
        for place, node in nodes:
            if not NAME.fullmatch(node.name):
                found.append(f"{place}: name has other than letters, digits, dots, hyphens")
            if node.organisation not in known:
                found.append(f"{place}.organisation: {node.organisation} is not an organisation")
            for address in node.addresses:
                if mistake := address_mistake(address):
                    found.append(f"{place}.addresses: {mistake}")
        for one in self.validators:
            if not one.addresses:
                found.append(f"validators.{one.name}.addresses: a validator needs at least one")
        for peer in self.peers:
            if peer.kind != "full":
                found.append(f"peers.{peer.name}.kind: {peer.kind!r} is not 'full'")
        return found

    def _key_mistakes(self) -> list[str]:
        holders: dict[bytes, list[str]] = {}
        for organisation in self.organisations:
            place = f"organisations.{organisation.id}.admin_key"
            holders.setdefault(organisation.admin_key, []).append(place)
        for one in self.validators:
            for field in ("consensus_key", "network_key"):
                key = getattr(one, field)
                holders.setdefault(key, []).append(f"validators.{one.name}.{field}")
        for peer in self.peers:
            holders.setdefault(peer.network_key, []).append(f"peers.{peer.name}.network_key")
        found = []
        for key, places in holders.items():
            if len(places) > 1:
                found.append(f"{' and '.join(places)}: the same key {key.hex()}")
            if not crypto_core_ed25519_is_valid_point(key):
                found.append(f"{places[0]}: {key.hex()} is not an Ed25519 public key")
        return found

    # --- JSON for people -------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "name": self.name,
            "time": format_time(self.time_ms),
            "chain_id": self.chain_id.hex(),
            "params": self.params.to_json(),
            "organisations": [one.to_json() for one in self.organisations],
            "validators": [one.to_json() for one in self.validators],
            "peers": [one.to_json() for one in self.peers],
            "contracts": [_package_json(one) for one in self.packages],
            "seals": {seal.validator: seal.signature.hex() for seal in self.seals},
        }

    @property
    def file_bytes(self) -> bytes:
        """The document's file: the JSON of :meth:`to_json`."""
        return (json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_file_bytes(cls, raw: bytes, what: str, *, stage: Stage = "sealed") -> GenesisDocument:
        """The inverse of ``file_bytes``, checked as far as its ``stage`` allows.

        Raises InputError GENESIS_INVALID naming every mistake; ``what`` says whose they are.
        """
        if len(raw) > FILE_BYTES_MAX:
            raise InputError("GENESIS_INVALID", f"{what}: more than {FILE_BYTES_MAX} bytes")
        mistakes: list[str] = []
        document, complete = _read_document(parse_json(raw, what, "GENESIS_INVALID"), mistakes)
        if complete and stage != "draft":
            mistakes += document.mistakes(sealed=stage == "sealed")
        elif not complete:
            # What could be read is judged too, except where the missing rest would be to blame.
            partial = ("validators:", "contracts:", "seals.", ".organisation:")
            mistakes += [
                one
                for one in document.mistakes(sealed=False)
                if not any(part in f"{one.split(': ', 1)[0]}:" for part in partial)
            ]
        _refuse(what, mistakes)
        return document

    @classmethod
    def load(cls, path: Path, *, stage: Stage = "sealed") -> GenesisDocument:
        """The checked document in a file. Raises InputError FILE_NOT_READABLE, GENESIS_INVALID."""
        try:
            with path.open("rb") as file:
                raw = file.read(FILE_BYTES_MAX + 1)
        except OSError as error:
            reason = error.strerror or error
            raise InputError("FILE_NOT_READABLE", f"genesis document {path}: {reason}") from None
        return cls.from_file_bytes(raw, str(path), stage=stage)


def organisation_id_mistake(text: str) -> str | None:
    """What is wrong with an organisation's id, or None."""
    if gln_valid(text) or lei_valid(text) or bic_valid(text):
        return None
    if re.fullmatch(r"[0-9]{13}", text):
        return "wrong check digit for a GLN"
    if re.fullmatch(r"[0-9A-Z]{18}[0-9]{2}", text):
        return "wrong check digits for an LEI"
    return "is neither a GLN (13 digits) nor an LEI (20 characters) nor a BIC (8 or 11)"


def address_mistake(address: str) -> str | None:
    """What is wrong with ``host:port``, the host a DNS name, IPv4 or [IPv6] address; or None."""
    host, colon, port = address.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        return f"{address!r} is not host:port with a port of 1 to 65535"
    try:
        if host.startswith("[") and host.endswith("]"):
            ipaddress.IPv6Address(host[1:-1])
        elif re.fullmatch(r"[0-9.]+", host):
            ipaddress.IPv4Address(host)
        elif len(host) > 253 or not _HOST.fullmatch(host):
            return f"{address!r}: {host!r} is neither a DNS name nor an address"
    except ValueError:
        return f"{address!r}: {host!r} is not an IP address"
    return None


def _refuse(what: str, mistakes: list[str]) -> None:
    if mistakes:
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        lines = "".join(f"\n  {mistake}" for mistake in mistakes)
        raise InputError("GENESIS_INVALID", f"{what} has {count}:{lines}")


@lru_cache(maxsize=64)
def _findings(package: Package) -> tuple[str, ...]:
    """Kept, because a document is judged again at every step of its ceremony."""
    from contracts.runtime.loader import check

    return tuple(map(str, check(package)))


def _doubles(place: str, names: Iterable[str]) -> list[str]:
    counts = Counter(names)
    return [f"{place}: {name} stands {n} times" for name, n in counts.items() if n > 1]


# --- reading, field by field ----------------------------------------------------------------


def _read_document(value: Any, mistakes: list[str]) -> tuple[GenesisDocument, bool]:
    """(what could be read, whether nothing was wrong with the form of the rest)."""
    reader = Reader(value, "", mistakes)
    form = reader.text("format", 64)
    if form is not None and form != FORMAT:
        reader.wrong("format", f"{form!r} is not {FORMAT}")
    name = reader.text("name", 64)
    time_ms = reader.time_ms("time")
    params = _read_params(reader.object("params"))
    organisations, _ = reader.objects("organisations", ORGANISATIONS_MAX, read_organisation)
    validators, _ = reader.objects("validators", VALIDATORS_MAX, read_validator)
    peers, _ = reader.objects("peers", PEERS_MAX, read_peer)
    packages, _ = reader.objects("contracts", CONTRACTS_MAX, _read_package)
    seals = _read_seals(reader.object("seals"))
    stated = reader.hex("chain_id", 32)
    reader.end()
    complete = not mistakes
    document = GenesisDocument(
        VERSION,
        name or "unnamed",
        time_ms or TIME_MIN_MS,
        params,
        tuple(organisations),
        tuple(validators),
        tuple(peers),
        tuple(packages),
        tuple(seals),
    )
    if complete and stated != document.chain_id:
        mistakes.append(
            "chain_id: is not the hash of this content, which is"
            f" {document.chain_id.hex()}: the file was changed by hand"
        )
    return document, complete


def _read_params(reader: Reader) -> Params:
    values: dict[str, Any] = {}
    for name, kind in Params.kinds():
        if isinstance(kind, UInt):
            value: Any = reader.whole(name, 0, kind.maximum)
        else:
            value = reader.text(name, 16)
        if value is not None:
            values[name] = value
    reader.end()
    return Params(**values)


def read_organisation(reader: Reader) -> GenesisOrganisation | None:
    id_ = reader.text("id", 20)
    name = reader.text("name", 128)
    roles = reader.texts("roles", ROLES_MAX, 32)
    admin_key = reader.hex("admin_key", 32)
    reader.end()
    if id_ is None or name is None or roles is None or admin_key is None:
        return None
    return GenesisOrganisation(id_, name, roles, admin_key)


def read_validator(reader: Reader) -> GenesisValidator | None:
    name = reader.text("name", 64)
    organisation = reader.text("organisation", 20)
    consensus_key = reader.hex("consensus_key", 32)
    network_key = reader.hex("network_key", 32)
    addresses = reader.texts("addresses", ADDRESSES_MAX, 262)
    reader.end()
    if name is None or organisation is None or addresses is None:
        return None
    if consensus_key is None or network_key is None:
        return None
    return GenesisValidator(name, organisation, consensus_key, network_key, addresses)


def read_peer(reader: Reader) -> GenesisPeer | None:
    name = reader.text("name", 64)
    organisation = reader.text("organisation", 20)
    kind = reader.text("kind", 16)
    network_key = reader.hex("network_key", 32)
    addresses = reader.texts("addresses", ADDRESSES_MAX, 262)
    reader.end()
    if name is None or organisation is None or kind is None:
        return None
    if network_key is None or addresses is None:
        return None
    return GenesisPeer(name, organisation, kind, network_key, addresses)


def _package_json(package: Package) -> dict[str, Any]:
    """Source stands line by line: who seals it should be able to read it."""
    return {
        "name": package.name,
        "version": package.version,
        "runtime": package.runtime,
        "files": [{"path": one.path, "lines": one.text.split("\n")} for one in package.files],
    }


def _read_package(reader: Reader) -> Package | None:
    name = reader.text("name", 64)
    version = reader.whole("version", 0, 2**63 - 1)
    runtime = reader.whole("runtime", 0, 2**63 - 1)
    files, complete = reader.objects("files", FILES_MAX, _read_source)
    reader.end()
    if name is None or version is None or runtime is None or not complete:
        return None
    try:
        return Package.from_plain(Package(name, version, runtime, tuple(files)).to_plain())
    except CodecError as error:
        reader.wrong("files", error.message)
        return None


def _read_source(reader: Reader) -> SourceFile | None:
    path = reader.text("path", 128)
    text = reader.lines("lines", SOURCE_BYTES_MAX)
    reader.end()
    return None if path is None or text is None else SourceFile(path, text)


def _read_seals(reader: Reader) -> list[Seal]:
    found = []
    for name in reader.rest():
        signature = reader.hex(name, 64)
        if not NAME.fullmatch(name):
            reader.wrong("", f"{name[:80]!r} is not a name")
        elif signature is not None:
            found.append(Seal(name, signature))
    return found
