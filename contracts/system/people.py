"""Organisations, users and keys: the records and rules under the identity contract."""

from __future__ import annotations

from typing import Annotated, Final

from contracts.sdk import (
    Choice,
    Contract,
    DocumentHash,
    Index,
    Map,
    OrganisationId,
    Personal,
    PublicKey,
    Record,
    Size,
    Text,
    Timestamp,
    refuse,
)

# What an organisation does in trade; given by the consortium.
TRADE_ROLES: Final = (
    "manufacturer",
    "wholesaler",
    "dispenser",
    "logistics_operator",
    "laboratory",
    "bank",
    "nbfc",
    "regulator",
    "consortium_admin",
)
# What a person does in an organisation; given by its corporate administrators.
PERSON_ROLES: Final = (
    "corporate_admin",
    "corporate_user",
    "bank_admin",
    "bank_officer",
    "nbfc_admin",
    "compliance_officer",
)
ROLES: Final = TRADE_ROLES + PERSON_ROLES
# What an electronic signature says (21 CFR 11.50).
MEANINGS: Final = ("authorship", "review", "approval", "responsibility")

ACTIVE: Final = "ACTIVE"
SUSPENDED: Final = "SUSPENDED"
REVOKED: Final = "REVOKED"
REPLACED: Final = "REPLACED"

ATTRIBUTES_MAX: Final = 16

TradeRole = Annotated[str, Choice(*TRADE_ROLES)]
TradeRoles = Annotated[list[TradeRole], Size(len(TRADE_ROLES))]
Role = Annotated[str, Choice(*ROLES)]
Roles = Annotated[list[Role], Size(len(ROLES))]
Name = Annotated[str, Text(200)]
Label = Annotated[str, Text(64)]
Reason = Annotated[str, Text(500)]
# A staff number or the like: it must not name the person.
UserId = Annotated[str, Text(32, pattern="[A-Za-z0-9._-]+")]
PersonName = Annotated[bytes, Personal(Text(200))]
AttributeName = Annotated[str, Text(32, pattern="[a-z][a-z0-9_]*")]
AttributeValue = Annotated[str, Text(64)]


class Organisation(Record):
    id: OrganisationId
    name: Name
    roles: list[TradeRole]
    status: str = ACTIVE
    administrators: int = 1  # keys with corporate_admin that did not end
    held_by: str = ""  # the regulator that holds it


class User(Record):
    """A person of an organisation."""

    organisation: OrganisationId
    id: UserId
    name: PersonName
    status: str = ACTIVE


class Key(Record):
    key: PublicKey
    organisation: OrganisationId
    label: Label
    roles: list[Role]
    user: str  # empty for a machine's key
    attributes: dict[str, str]
    status: str = ACTIVE
    held_by: str = ""  # the regulator that holds it
    successor: bytes = b""  # the key that replaced it


class Signature(Record):
    """That a person signed a record: who, when, and what it means."""

    record: DocumentHash
    key: PublicKey
    organisation: OrganisationId
    user: UserId
    name: PersonName
    meaning: str
    time: Timestamp
    height: int


class Attribute(Record):
    name: AttributeName
    value: AttributeValue


class NewOrganisation(Record):
    """An organisation with the key of its first corporate administrator."""

    id: OrganisationId
    name: Name
    admin_key: PublicKey
    roles: TradeRoles


class Register(Contract):
    """The state of the identity contract, what must hold in it, and how it changes."""

    organisations = Map(Organisation, key=("id",))
    users = Map(User, key=("organisation", "id"))
    keys = Map(Key, key=("key",), hashed=("key",))
    keys_of = Index(keys, on=("organisation",))
    signed = Map(Signature, key=("record", "signer"), hashed=("record", "signer"))

    # --- what must hold ---------------------------------------------------------------------

    def _organisation(self, id: str) -> Organisation:
        found = self.organisations.get(id)
        if found is None:
            refuse("UNKNOWN_ORGANISATION", f"{id} is not registered")
        return found

    def _other_organisation(self, id: str) -> Organisation:
        found = self._organisation(id)
        if id == self.ctx.organisation:
            refuse("OWN_ORGANISATION", "an organisation does not judge itself")
        return found

    def _check_no_validator(self, id: str) -> None:
        """Else one member's administrator could silence all who vote."""
        for validator in self.invoke("governance", "validator_list"):
            if validator["organisation"] == id:
                refuse("ORGANISATION_VOTES", f"{id} has a validator: vote to remove it first")

    def _own_user(self, id: str) -> User:
        found = self.users.get((self.ctx.organisation, id))
        if found is None:
            refuse("UNKNOWN_USER", f"{id} is not a user of the caller's organisation")
        if found.status != ACTIVE:
            refuse("USER_REVOKED", f"{id} was revoked")
        return found

    def _own_key(self, key: bytes) -> Key:
        found = self.keys.get(key)
        if found is None or found.organisation != self.ctx.organisation:
            refuse("NOT_OWN_KEY", "the key is not one of the caller's organisation")
        if found.status != ACTIVE:
            refuse("KEY_REVOKED", f"the key was {found.status.lower()}")
        return found

    def _key_of_other(self, key: bytes) -> Key:
        found = self.keys.get(key)
        if found is None:
            refuse("UNKNOWN_KEY", "the key belongs to no organisation")
        if found.organisation == self.ctx.organisation:
            refuse("OWN_ORGANISATION", "an organisation does not judge itself")
        return found

    def _check_unknown(self, key: bytes) -> None:
        if key in self.keys:
            refuse("KEY_KNOWN", "the key is, or was, some organisation's")

    def _may_grant(self, organisation: Organisation, role: str) -> None:
        if role not in PERSON_ROLES and role not in organisation.roles:
            refuse("ROLE_NOT_HELD", f"the organisation does not hold the role {role}")

    # --- what changes -----------------------------------------------------------------------

    def _admit(self, new: NewOrganisation) -> None:
        if new.id in self.organisations:
            refuse("ORGANISATION_KNOWN", f"{new.id} is registered already")
        organisation = Organisation(new.id, new.name, unique(new.roles), administrators=0)
        self.emit(
            "OrganisationRegistered",
            organisation=new.id,
            name=new.name,
            roles=organisation.roles,
        )
        first_roles = [*organisation.roles, "corporate_admin"]
        first_key = Key(new.admin_key, new.id, "first administrator", first_roles, "", {})
        self._register(organisation, first_key)
        self.organisations.put(new.id, organisation)

    def _register(self, organisation: Organisation, new: Key) -> None:
        """Enter a key. The caller puts the organisation, whose administrators it counts."""
        self._check_unknown(new.key)
        new.roles = unique(new.roles)
        if "corporate_admin" in new.roles:
            organisation.administrators += 1
        self.keys.put(new.key, new)
        self.emit(
            "KeyAdded",
            organisation=organisation.id,
            key=new.key,
            label=new.label,
            roles=new.roles,
            user=new.user,
        )

    def _revoke(self, record: Key) -> None:
        if "corporate_admin" in record.roles:
            self._one_administrator_less()
        record.status = REVOKED
        self.keys.put(record.key, record)
        self.emit("KeyRevoked", organisation=record.organisation, key=record.key)

    def _one_administrator_less(self) -> None:
        organisation = self._organisation(self.ctx.organisation)
        if organisation.administrators == 1:
            refuse("LAST_ADMINISTRATOR", "an organisation keeps at least one administrator")
        organisation.administrators -= 1
        self.organisations.put(organisation.id, organisation)

    def _check_direct(self) -> None:
        """Who may sign for whom is decided by a person's own call, never by a contract's."""
        if self.ctx.callers:
            refuse("ONLY_DIRECT", f"not through the contract {self.ctx.callers[-1]}")


def present_roles(key: Key, organisation: Organisation) -> list[str]:
    """The roles that count now: a person's own, and those in trade that the organisation has."""
    return [role for role in key.roles if role in PERSON_ROLES or role in organisation.roles]


def unique(texts: list[str]) -> list[str]:
    """Each text once, in order."""
    found: list[str] = []
    for text in sorted(texts):
        if not found or found[-1] != text:
            found.append(text)
    return found
