"""Who is who: organisations, their keys, and what each key may.

An **organisation** is named by its GLN, LEI or BIC. The consortium admits it and gives it its trade
roles; a regulator or the consortium suspends, reinstates or revokes it. Its corporate
administrators manage its **keys**: one person or machine each, with a label and roles. A key may
what its own roles say, and a trade role only for as long as its organisation holds it too.

A key belongs to one organisation for ever; once revoked it signs nothing more.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from contracts.sdk import (
    Choice,
    Contract,
    Map,
    OrganisationId,
    PublicKey,
    Record,
    Size,
    Text,
    call,
    genesis,
    query,
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

ACTIVE: Final = "ACTIVE"
SUSPENDED: Final = "SUSPENDED"
REVOKED: Final = "REVOKED"

TradeRole = Annotated[str, Choice(*TRADE_ROLES)]
Role = Annotated[str, Choice(*ROLES)]
Name = Annotated[str, Text(200)]
Label = Annotated[str, Text(64)]


class Organisation(Record):
    id: OrganisationId
    name: Name
    roles: list[TradeRole]
    status: str = ACTIVE
    administrators: int = 1  # keys with corporate_admin that are not revoked


class Key(Record):
    key: PublicKey
    organisation: OrganisationId
    label: Label
    roles: list[Role]
    status: str = ACTIVE


class NewOrganisation(Record):
    """An organisation with the key of its first corporate administrator."""

    id: OrganisationId
    name: Name
    admin_key: PublicKey
    roles: Annotated[list[TradeRole], Size(len(TRADE_ROLES))]


class Identity(Contract):
    """Organisations, keys and roles."""

    name = "identity"

    organisations = Map(Organisation, key=("id",))
    keys = Map(Key, key=("key",), hashed=("key",))
    keys_of = Map(bytes, key=("organisation", "key"))

    @genesis
    def found(
        self,
        organisations: Annotated[list[NewOrganisation], Size(1024)] = [],  # noqa: B006
    ) -> None:
        """The consortium's first members."""
        for new in organisations:
            self._admit(new)

    @call(roles=("consortium_admin",))
    def add_organisation(
        self,
        id: OrganisationId,
        name: Name,
        admin_key: PublicKey,
        roles: Annotated[list[TradeRole], Size(len(TRADE_ROLES))],
    ) -> None:
        """Admit an organisation with its first administrator's key."""
        self._admit(NewOrganisation(id, name, admin_key, roles))

    @call(roles=("consortium_admin",))
    def set_organisation_roles(
        self, id: OrganisationId, roles: Annotated[list[TradeRole], Size(len(TRADE_ROLES))]
    ) -> None:
        """Give an organisation these trade roles and no others."""
        organisation = self._organisation(id)
        organisation.roles = sorted(set(roles))
        self.organisations.put(id, organisation)
        self.emit("OrganisationRolesSet", organisation=id, roles=organisation.roles)

    @call(roles=("regulator", "consortium_admin"))
    def set_organisation_status(
        self, id: OrganisationId, status: Annotated[str, Choice(ACTIVE, SUSPENDED, REVOKED)]
    ) -> None:
        """ACTIVE <-> SUSPENDED; REVOKED is for good, and a regulator's alone."""
        organisation = self._organisation(id)
        if organisation.status == REVOKED:
            refuse("ORGANISATION_REVOKED", f"{id} was revoked for good")
        if status == REVOKED:
            self.require("regulator")
        if id == self.ctx.organisation:
            refuse("OWN_ORGANISATION", "an organisation does not judge itself")
        organisation.status = status
        self.organisations.put(id, organisation)
        self.emit("OrganisationStatusSet", organisation=id, status=status)

    @call(roles=("corporate_admin",))
    def add_key(
        self, key: PublicKey, label: Label, roles: Annotated[list[Role], Size(len(ROLES))]
    ) -> None:
        """Let one more key act for the caller's organisation."""
        organisation = self._organisation(self.ctx.organisation)
        for role in roles:
            self._may_grant(organisation, role)
        self._register(organisation, key, label, roles)
        self.organisations.put(organisation.id, organisation)

    @call(roles=("corporate_admin",))
    def revoke_key(self, key: PublicKey) -> None:
        """End a key of the caller's organisation, for good."""
        record = self._own_key(key)
        if "corporate_admin" in record.roles:
            self._one_administrator_less()
        record.status = REVOKED
        self.keys.put(key, record)
        self.emit("KeyRevoked", organisation=record.organisation, key=key)

    @call(roles=("corporate_admin",))
    def grant_role(self, key: PublicKey, role: Role) -> None:
        """Give a key of the caller's organisation a role."""
        record = self._own_key(key)
        organisation = self._organisation(record.organisation)
        self._may_grant(organisation, role)
        if role in record.roles:
            refuse("ROLE_HELD", f"the key has the role {role} already")
        if role == "corporate_admin":
            organisation.administrators += 1
            self.organisations.put(organisation.id, organisation)
        record.roles = sorted([*record.roles, role])
        self.keys.put(key, record)
        self.emit("RoleGranted", organisation=record.organisation, key=key, role=role)

    @call(roles=("corporate_admin",))
    def revoke_role(self, key: PublicKey, role: Role) -> None:
        """Take a role from a key of the caller's organisation."""
        record = self._own_key(key)
        if role not in record.roles:
            refuse("ROLE_NOT_HELD", f"the key does not have the role {role}")
        if role == "corporate_admin":
            self._one_administrator_less()
        record.roles = [held for held in record.roles if held != role]
        self.keys.put(key, record)
        self.emit("RoleRevoked", organisation=record.organisation, key=key, role=role)

    @query
    def caller(self, key: PublicKey) -> dict[str, Any]:
        """Organisation and present roles of a key that may sign, or a refusal saying why not."""
        record = self.keys.get(key)
        if record is None:
            refuse("SENDER_UNKNOWN", "the sender's key belongs to no organisation")
        if record.status != ACTIVE:
            refuse("KEY_REVOKED", "the sender's key was revoked")
        organisation = self._organisation(record.organisation)
        if organisation.status != ACTIVE:
            refuse("ORGANISATION_NOT_ACTIVE", f"{organisation.id} is {organisation.status}")
        return {
            "organisation": organisation.id,
            "roles": [
                role for role in record.roles if role in PERSON_ROLES or role in organisation.roles
            ],
        }

    @query
    def organisation(self, id: OrganisationId) -> Organisation | None:
        """What is known of an organisation."""
        return self.organisations.get(id)

    @query
    def is_active(self, id: OrganisationId) -> bool:
        """Whether there is such an organisation, neither suspended nor revoked."""
        found = self.organisations.get(id)
        return found is not None and found.status == ACTIVE

    @query
    def organisation_list(self) -> list[Organisation]:
        """The first thousand organisations, by id."""
        return [found for found, _ in zip(self.organisations.values(), range(1000), strict=False)]

    @query
    def key(self, key: PublicKey) -> Key | None:
        """What is known of a key, revoked ones too."""
        return self.keys.get(key)

    @query
    def key_list(self, organisation: OrganisationId) -> list[Key]:
        """The first thousand keys of an organisation, revoked ones too."""
        keys = zip(self.keys_of.values(organisation), range(1000), strict=False)
        return [found for key, _ in keys if (found := self.keys.get(key)) is not None]

    def _admit(self, new: NewOrganisation) -> None:
        if new.id in self.organisations:
            refuse("ORGANISATION_KNOWN", f"{new.id} is registered already")
        organisation = Organisation(new.id, new.name, sorted(set(new.roles)), administrators=0)
        self.emit(
            "OrganisationRegistered",
            organisation=new.id,
            name=new.name,
            roles=organisation.roles,
        )
        first_roles = [*organisation.roles, "corporate_admin"]
        self._register(organisation, new.admin_key, "first administrator", first_roles)
        self.organisations.put(new.id, organisation)

    def _register(
        self, organisation: Organisation, key: bytes, label: str, roles: list[str]
    ) -> None:
        if key in self.keys:
            refuse("KEY_KNOWN", "the key is, or was, some organisation's")
        held = sorted(set(roles))
        self.keys.put(key, Key(key, organisation.id, label, held))
        self.keys_of.put((organisation.id, key), key)
        if "corporate_admin" in held:
            organisation.administrators += 1
        self.emit("KeyAdded", organisation=organisation.id, key=key, label=label, roles=held)

    def _organisation(self, id: str) -> Organisation:
        found = self.organisations.get(id)
        if found is None:
            refuse("UNKNOWN_ORGANISATION", f"{id} is not registered")
        return found

    def _own_key(self, key: bytes) -> Key:
        found = self.keys.get(key)
        if found is None or found.organisation != self.ctx.organisation:
            refuse("NOT_OWN_KEY", "the key is not one of the caller's organisation")
        if found.status != ACTIVE:
            refuse("KEY_REVOKED", "the key was revoked")
        return found

    def _may_grant(self, organisation: Organisation, role: str) -> None:
        if role not in PERSON_ROLES and role not in organisation.roles:
            refuse("ROLE_NOT_HELD", f"the organisation does not hold the role {role}")

    def _one_administrator_less(self) -> None:
        organisation = self._organisation(self.ctx.organisation)
        if organisation.administrators == 1:
            refuse("LAST_ADMINISTRATOR", "an organisation keeps at least one administrator")
        organisation.administrators -= 1
        self.organisations.put(organisation.id, organisation)
