"""How independent organisations make one genesis document without trusting a common machine.

1. Somebody starts a **draft**: the consortium's name and parameters, nobody in it yet.
2. Each organisation makes its keys at home and writes an **entry**: itself and, if it runs one, a
   node. Every key named in the entry signs the entry, so nobody enters the keys of others.
3. The entries are added to the draft. Which file held which entry leaves no trace.
4. Every validator looks at the document and **seals** it: signs its hash. The seals of copies that
   were sealed apart are merged.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from consensus.params import Params
from consensus.primitives.codec import SIGNATURE, Maybe, Nested, Text, Wire
from consensus.primitives.crypto import (
    TAG_GENESIS,
    TAG_GENESIS_ENTRY,
    public_key,
    sign,
    verify,
)
from consensus.primitives.errors import InputError
from contracts.runtime.package import Package
from genesis.document import (
    VERSION,
    GenesisDocument,
    GenesisOrganisation,
    GenesisPeer,
    GenesisValidator,
    read_organisation,
    read_peer,
    read_validator,
)
from genesis.reading import Reader, parse_json

T = TypeVar("T", bound=Wire)

ENTRY_FORMAT: Final = "hansa-genesis-entry/1"
ENTRY_BYTES_MAX: Final = 64 << 10


@dataclass(frozen=True)
class _EntryContent(Wire):
    """What an entry's signatures cover. ``consortium`` ties it to one draft's name."""

    consortium: Annotated[str, Text(64)]
    organisation: Annotated[GenesisOrganisation, Nested(GenesisOrganisation)]
    validator: Annotated[GenesisValidator | None, Maybe(Nested(GenesisValidator))]
    peer: Annotated[GenesisPeer | None, Maybe(Nested(GenesisPeer))]


@dataclass(frozen=True)
class Entry:
    """One organisation's entry, with a validator, another peer, or no node.

    ``signatures``: by "admin", "network" and "consensus", for the keys that the entry names.
    """

    consortium: str
    organisation: GenesisOrganisation
    validator: GenesisValidator | None
    peer: GenesisPeer | None
    signatures: Mapping[str, bytes]

    @property
    def digest(self) -> bytes:
        """What each key signs."""
        content = _EntryContent(self.consortium, self.organisation, self.validator, self.peer)
        return content.digest

    @property
    def keys(self) -> dict[str, bytes]:
        """The public keys that must have signed."""
        keys = {"admin": self.organisation.admin_key}
        if self.validator is not None:
            keys["consensus"] = self.validator.consensus_key
        node = self.validator or self.peer
        if node is not None:
            keys["network"] = node.network_key
        return keys

    def mistakes(self) -> list[str]:
        """Missing, wrong and needless signatures; a node of another organisation."""
        found = []
        if self.validator is not None and self.peer is not None:
            found.append("an entry has one node: a validator or a peer")
        node = self.validator or self.peer
        if node is not None and node.organisation != self.organisation.id:
            found.append(f"{node.name}: belongs to {node.organisation}, not to this organisation")
        keys = self.keys
        for role, key in keys.items():
            if role not in self.signatures:
                found.append(f"signatures.{role}: is missing")
            elif not verify(key, TAG_GENESIS_ENTRY, self.digest, self.signatures[role]):
                found.append(f"signatures.{role}: is not this key's signature of this entry")
        found += [f"signatures.{role}: no such key" for role in self.signatures if role not in keys]
        return found

    def signed(self, seeds: Mapping[str, bytes]) -> Entry:
        """A copy signed with the seeds of all its keys, by role. Raises InputError KEY_MISMATCH."""
        for role, key in self.keys.items():
            if role not in seeds or public_key(seeds[role]) != key:
                raise InputError("KEY_MISMATCH", f"the entry names another {role} key than yours")
        return replace(
            self,
            signatures={
                role: sign(seeds[role], TAG_GENESIS_ENTRY, self.digest) for role in self.keys
            },
        )

    @property
    def file_bytes(self) -> bytes:
        value: dict[str, Any] = {
            "format": ENTRY_FORMAT,
            "consortium": self.consortium,
            "organisation": self.organisation.to_json(),
        }
        if self.validator is not None:
            value["validator"] = self.validator.to_json()
        if self.peer is not None:
            value["peer"] = self.peer.to_json()
        value["signatures"] = {role: one.hex() for role, one in self.signatures.items()}
        return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()

    @classmethod
    def load(cls, path: Path) -> Entry:
        """The checked entry. Raises InputError FILE_NOT_READABLE or ENTRY_INVALID, all at once."""
        try:
            with path.open("rb") as file:
                raw = file.read(ENTRY_BYTES_MAX + 1)
        except OSError as error:
            reason = error.strerror or error
            raise InputError("FILE_NOT_READABLE", f"entry {path}: {reason}") from None
        if len(raw) > ENTRY_BYTES_MAX:
            raise InputError("ENTRY_INVALID", f"{path}: more than {ENTRY_BYTES_MAX} bytes")
        mistakes: list[str] = []
        entry = _read_entry(parse_json(raw, str(path), "ENTRY_INVALID"), mistakes)
        if entry is not None:
            mistakes += entry.mistakes()
        if entry is None or mistakes:
            lines = "".join(f"\n  {mistake}" for mistake in mistakes)
            raise InputError("ENTRY_INVALID", f"entry {path}:{lines}")
        return entry


def _read_entry(value: Any, mistakes: list[str]) -> Entry | None:
    reader = Reader(value, "", mistakes)
    form = reader.text("format", 64)
    if form is not None and form != ENTRY_FORMAT:
        reader.wrong("format", f"{form!r} is not {ENTRY_FORMAT}")
    consortium = reader.text("consortium", 64)
    organisation = read_organisation(reader.object("organisation"))
    validator = read_validator(reader.object("validator")) if reader.has("validator") else None
    peer = read_peer(reader.object("peer")) if reader.has("peer") else None
    signed = reader.object("signatures")
    signatures = {role: signed.hex(role, SIGNATURE.maximum) for role in signed.rest()}
    reader.end()
    if mistakes or consortium is None or organisation is None:
        return None
    present = {role: one for role, one in signatures.items() if one is not None}
    return Entry(consortium, organisation, validator, peer, present)


def new_draft(
    name: str, time_ms: int, params: Params, packages: Iterable[Package]
) -> GenesisDocument:
    """A document with nobody in it yet; ``packages`` are the contracts that it starts with."""
    return GenesisDocument(VERSION, name, time_ms, params.checked(), (), (), (), tuple(packages))


def add_entry(draft: GenesisDocument, entry: Entry) -> GenesisDocument:
    """The draft with the entry's organisation and node; what is in it already is not added twice.

    Raises InputError: GENESIS_SEALED, ENTRY_INVALID, ENTRY_OTHER_CONSORTIUM, ENTRY_CONFLICT.
    """
    if draft.seals:
        raise InputError(
            "GENESIS_SEALED", f"{draft.name} bears seals: a change would make them worthless"
        )
    if entry.consortium != draft.name:
        raise InputError(
            "ENTRY_OTHER_CONSORTIUM", f"the entry is for {entry.consortium}, not for {draft.name}"
        )
    if mistakes := entry.mistakes():
        raise InputError("ENTRY_INVALID", "; ".join(mistakes))
    organisations = _with("organisation", draft.organisations, entry.organisation, "id")
    validators, peers = draft.validators, draft.peers
    if entry.validator is not None:
        validators = _with("validator", validators, entry.validator, "name")
    if entry.peer is not None:
        peers = _with("peer", peers, entry.peer, "name")
    return replace(draft, organisations=organisations, validators=validators, peers=peers)


def _with(what: str, present: tuple[T, ...], new: T, field: str) -> tuple[T, ...]:
    """``present`` and ``new`` in the order of ``field``, whatever the order of adding."""
    name = getattr(new, field)
    for one in present:
        if getattr(one, field) == name:
            if one != new:
                raise InputError("ENTRY_CONFLICT", f"another {what} {name} is in the draft already")
            return present
    return tuple(sorted((*present, new), key=lambda one: getattr(one, field)))


def seal(document: GenesisDocument, consensus_seed: bytes) -> GenesisDocument:
    """The document with one more validator's seal.

    Raises InputError GENESIS_INVALID when it is not fit to be sealed, NOT_A_VALIDATOR.
    """
    document.checked(sealed=False)
    key = public_key(consensus_seed)
    for validator in document.validators:
        if validator.consensus_key == key:
            signature = sign(consensus_seed, TAG_GENESIS, document.chain_id)
            return document.with_seal(validator.name, signature)
    raise InputError("NOT_A_VALIDATOR", f"{key.hex()} is not a validator's consensus key here")


def merge_seals(document: GenesisDocument, others: Iterable[GenesisDocument]) -> GenesisDocument:
    """The document with the valid seals of its copies. Raises InputError GENESIS_DIFFERS."""
    keys = {one.name: one.consensus_key for one in document.validators}
    for other in others:
        if other.chain_id != document.chain_id:
            raise InputError(
                "GENESIS_DIFFERS",
                f"a copy has the chain id {other.chain_id.hex()}, not {document.chain_id.hex()}",
            )
        for one in other.seals:
            key = keys.get(one.validator)
            if key is not None and verify(key, TAG_GENESIS, document.chain_id, one.signature):
                document = document.with_seal(one.validator, one.signature)
    return document
