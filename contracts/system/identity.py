"""Who is who: organisations, their people, their keys, and what each key may.

An **organisation** is named by its GLN, LEI or BIC. The consortium admits it and gives it its trade
roles; a regulator or the consortium suspends, reinstates or revokes it. Its corporate
administrators manage its **users**, who are persons, and its **keys**::

    organisation  ACTIVE <-> SUSPENDED -> REVOKED        user  ACTIVE -> REVOKED
    key           ACTIVE -> REVOKED | REPLACED

A key is one person's, or a machine's, and never passes to another (21 CFR 11.100). Its person may
replace it by a new one, which takes over its roles and attributes. A key may what its own roles
say, and a trade role only for as long as its organisation holds it too. What ended signs nothing
more and never comes back.

A regulator reads everything, and may **hold** an organisation or a key: it then does nothing until
a regulator lifts the hold, whatever else becomes of it meanwhile.

A person's name is personal: here stands its salted commitment. What a person signs electronically
(21 CFR 11.50) is kept under the hash of the signed record with time and meaning, for good.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from contracts.sdk import (
    Choice,
    DocumentHash,
    OrganisationId,
    PublicKey,
    Size,
    call,
    genesis,
    query,
    refuse,
)
from contracts.system.people import (
    ACTIVE,
    ATTRIBUTES_MAX,
    MEANINGS,
    REPLACED,
    REVOKED,
    SUSPENDED,
    Attribute,
    AttributeName,
    AttributeValue,
    Key,
    Label,
    Name,
    NewOrganisation,
    Organisation,
    PersonName,
    Reason,
    Register,
    Role,
    Roles,
    Signature,
    TradeRoles,
    User,
    UserId,
    present_roles,
    unique,
)

LIST_MAX: Final = 1_000  # entries that one query gives


class Identity(Register):
    """Organisations, users, keys, roles, attributes, holds and electronic signatures."""

    name = "identity"
    audited = True

    @genesis
    def found(
        self, organisations: Annotated[list[NewOrganisation], Size(1024)] | None = None
    ) -> None:
        """The consortium's first members."""
        for new in organisations or []:
            self._admit(new)

    # --- organisations ----------------------------------------------------------------------

    @call(roles=("consortium_admin",))
    def add_organisation(
        self, id: OrganisationId, name: Name, admin_key: PublicKey, roles: TradeRoles
    ) -> None:
        """Admit an organisation with its first administrator's key."""
        self._check_direct()
        self._admit(NewOrganisation(id, name, admin_key, roles))

    @call(roles=("consortium_admin",))
    def set_organisation_roles(self, id: OrganisationId, roles: TradeRoles) -> None:
        """Give an organisation these trade roles and no others."""
        self._check_direct()
        organisation = self._organisation(id)
        if id == self.ctx.organisation and "consortium_admin" not in roles:
            refuse("OWN_ORGANISATION", "another member of the consortium takes that role away")
        organisation.roles = unique(roles)
        self.organisations.put(id, organisation)
        self.emit("OrganisationRolesSet", organisation=id, roles=organisation.roles)

    @call(roles=("regulator", "consortium_admin"))
    def set_organisation_status(
        self, id: OrganisationId, status: Annotated[str, Choice(ACTIVE, SUSPENDED, REVOKED)]
    ) -> None:
        """ACTIVE <-> SUSPENDED; REVOKED is for good, and a regulator's alone.

        Nor does the consortium suspend an organisation that has a validator: a vote removes that.
        """
        self._check_direct()
        organisation = self._other_organisation(id)
        if organisation.status == REVOKED:
            refuse("ORGANISATION_REVOKED", f"{id} was revoked for good")
        if status == REVOKED:
            self.require("regulator")
        if status == SUSPENDED and "regulator" not in self.ctx.roles:
            self._check_no_validator(id)
        organisation.status = status
        self.organisations.put(id, organisation)
        self.emit("OrganisationStatusSet", organisation=id, status=status)

    # --- a regulator's hold -----------------------------------------------------------------

    @call(roles=("regulator",))
    def hold_organisation(self, id: OrganisationId, reason: Reason) -> None:
        """Stop another organisation, all its keys with it, until a regulator lifts the hold."""
        self._check_direct()
        organisation = self._other_organisation(id)
        if organisation.held_by:
            refuse("ALREADY_HELD", f"{id} is held by {organisation.held_by}")
        organisation.held_by = self.ctx.organisation
        self.organisations.put(id, organisation)
        self.emit("OrganisationHeld", organisation=id, by=self.ctx.organisation, reason=reason)

    @call(roles=("regulator",))
    def lift_organisation_hold(self, id: OrganisationId) -> None:
        """Let a held organisation act again, as far as its status allows."""
        self._check_direct()
        organisation = self._other_organisation(id)
        if not organisation.held_by:
            refuse("NOT_HELD", f"no regulator holds {id}")
        organisation.held_by = ""
        self.organisations.put(id, organisation)
        self.emit("OrganisationHoldLifted", organisation=id, by=self.ctx.organisation)

    @call(roles=("regulator",))
    def hold_key(self, key: PublicKey, reason: Reason) -> None:
        """Stop one key of another organisation until a regulator lifts the hold."""
        self._check_direct()
        record = self._key_of_other(key)
        if record.held_by:
            refuse("ALREADY_HELD", f"the key is held by {record.held_by}")
        record.held_by = self.ctx.organisation
        self.keys.put(key, record)
        self.emit("KeyHeld", key=key, by=self.ctx.organisation, reason=reason)

    @call(roles=("regulator",))
    def lift_key_hold(self, key: PublicKey) -> None:
        """Let a held key act again, unless it ended."""
        self._check_direct()
        record = self._key_of_other(key)
        if not record.held_by:
            refuse("NOT_HELD", "no regulator holds the key")
        record.held_by = ""
        self.keys.put(key, record)
        self.emit("KeyHoldLifted", key=key, by=self.ctx.organisation)

    # --- people -----------------------------------------------------------------------------

    @call(roles=("corporate_admin",))
    def add_user(self, id: UserId, name: PersonName) -> None:
        """Register a person of the caller's organisation, under an id that names nobody."""
        self._check_direct()
        me = self.ctx.organisation
        if (me, id) in self.users:
            refuse("USER_KNOWN", f"{id} is, or was, a user of {me}")
        self.users.put((me, id), User(me, id, name))
        self.emit("UserAdded", organisation=me, user=id, name=name)

    @call(roles=("corporate_admin",))
    def revoke_user(self, id: UserId) -> None:
        """End a person's part in the caller's organisation: the user and all the user's keys."""
        self._check_direct()
        user = self._own_user(id)
        for key in list(self.keys_of.values(user.organisation)):
            if key.user == id and key.status == ACTIVE:
                self._revoke(key)
        user.status = REVOKED
        self.users.put((user.organisation, id), user)
        self.emit("UserRevoked", organisation=user.organisation, user=id)

    # --- keys -------------------------------------------------------------------------------

    @call(roles=("corporate_admin",))
    def add_key(
        self,
        key: PublicKey,
        label: Label,
        roles: Roles,
        user: UserId | None = None,
        attributes: Annotated[list[Attribute], Size(ATTRIBUTES_MAX)] | None = None,
    ) -> None:
        """Let one more key act for the caller's organisation: a user's, or a machine's.

        ``label`` is public: it says what the key is for and names no person.
        """
        self._check_direct()
        organisation = self._organisation(self.ctx.organisation)
        for role in roles:
            self._may_grant(organisation, role)
        if user is not None:
            self._own_user(user)
        given: dict[str, str] = {}
        for attribute in attributes or []:
            given[attribute.name] = attribute.value
        self._register(organisation, Key(key, organisation.id, label, roles, user or "", given))
        self.organisations.put(organisation.id, organisation)

    @call
    def rotate_key(self, new: PublicKey, key: PublicKey | None = None) -> None:
        """Replace a key by a new one of the same person, with its roles and attributes.

        ``key`` is the caller's own, if none is named; another's is for a corporate_admin.
        """
        self._check_direct()
        old = self._own_key(key or self.ctx.caller)
        if old.key != self.ctx.caller:
            self.require("corporate_admin")
        if old.held_by:
            refuse("KEY_HELD", f"the key is held by {old.held_by}")
        self._check_unknown(new)
        old.status = REPLACED
        old.successor = new
        self.keys.put(old.key, old)
        fresh = Key(new, old.organisation, old.label, old.roles, old.user, old.attributes)
        self.keys.put(new, fresh)
        self.emit("KeyRotated", organisation=old.organisation, key=old.key, new=new)

    @call(roles=("corporate_admin",))
    def revoke_key(self, key: PublicKey) -> None:
        """End a key of the caller's organisation, for good."""
        self._check_direct()
        self._revoke(self._own_key(key))

    @call(roles=("corporate_admin",))
    def grant_role(self, key: PublicKey, role: Role) -> None:
        """Give a key of the caller's organisation a role."""
        self._check_direct()
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
        self._check_direct()
        record = self._own_key(key)
        if role not in record.roles:
            refuse("ROLE_NOT_HELD", f"the key does not have the role {role}")
        if role == "corporate_admin":
            self._one_administrator_less()
        record.roles = [held for held in record.roles if held != role]
        self.keys.put(key, record)
        self.emit("RoleRevoked", organisation=record.organisation, key=key, role=role)

    @call(roles=("corporate_admin",))
    def set_attribute(self, key: PublicKey, name: AttributeName, value: AttributeValue) -> None:
        """Say something of a key of the caller's organisation, such as region = EU."""
        self._check_direct()
        record = self._own_key(key)
        record.attributes[name] = value
        if len(record.attributes) > ATTRIBUTES_MAX:
            refuse("TOO_MANY_ATTRIBUTES", f"a key has at most {ATTRIBUTES_MAX} attributes")
        self.keys.put(key, record)
        self.emit("AttributeSet", organisation=record.organisation, key=key, name=name, value=value)

    @call(roles=("corporate_admin",))
    def remove_attribute(self, key: PublicKey, name: AttributeName) -> None:
        """Take an attribute from a key of the caller's organisation."""
        self._check_direct()
        record = self._own_key(key)
        if name not in record.attributes:
            refuse("ATTRIBUTE_NOT_HELD", f"the key does not have the attribute {name}")
        record.attributes.pop(name)
        self.keys.put(key, record)
        self.emit("AttributeRemoved", organisation=record.organisation, key=key, name=name)

    # --- electronic signatures --------------------------------------------------------------

    @call
    def sign_record(
        self, record_hash: DocumentHash, meaning: Annotated[str, Choice(*MEANINGS)]
    ) -> None:
        """Sign a record as the person whose key this is (21 CFR 11.50, 11.70).

        The signature is bound to the record's hash and is never changed or taken back.
        """
        self._check_direct()
        ctx = self.ctx
        key = self._own_key(ctx.caller)
        user = self.users.get((key.organisation, key.user)) if key.user else None
        if user is None:
            refuse("NO_PERSON", "the key is a machine's: electronic signatures are persons'")
        signer = f"{ctx.caller.hex()} {meaning}"
        if (record_hash, signer) in self.signed:
            refuse("ALREADY_SIGNED", "the key signed this record with this meaning before")
        self.signed.put(
            (record_hash, signer),
            Signature(
                record_hash,
                ctx.caller,
                key.organisation,
                key.user,
                user.name,
                meaning,
                ctx.time_ms,
                ctx.height,
            ),
        )
        self.emit(
            "RecordSigned",
            record=record_hash,
            organisation=key.organisation,
            key=ctx.caller,
            user=key.user,
            name=user.name,
            meaning=meaning,
        )

    # --- asking -----------------------------------------------------------------------------

    @query
    def caller(self, key: PublicKey) -> dict[str, Any]:
        """Organisation, roles and attributes of a key that may sign now, or why it may not."""
        record = self.keys.get(key)
        if record is None:
            refuse("SENDER_UNKNOWN", "the sender's key belongs to no organisation")
        if record.status != ACTIVE:
            refuse("KEY_REVOKED", f"the sender's key was {record.status.lower()}")
        if record.held_by:
            refuse("KEY_HELD", f"the sender's key is held by {record.held_by}")
        organisation = self._organisation(record.organisation)
        if organisation.status != ACTIVE:
            refuse("ORGANISATION_NOT_ACTIVE", f"{organisation.id} is {organisation.status}")
        if organisation.held_by:
            refuse("ORGANISATION_HELD", f"{organisation.id} is held by {organisation.held_by}")
        return {
            "organisation": organisation.id,
            "roles": present_roles(record, organisation),
            "attributes": record.attributes,
        }

    @query
    def may_read(self, key: PublicKey, parties: Annotated[list[OrganisationId], Size(100)]) -> bool:
        """Whether a key may be shown data of these parties: it is one of them, or a regulator's."""
        record = self.keys.get(key)
        if record is None or record.status != ACTIVE or record.held_by:
            return False
        organisation = self._organisation(record.organisation)
        if organisation.status != ACTIVE or organisation.held_by:
            return False
        return organisation.id in parties or "regulator" in present_roles(record, organisation)

    @query
    def organisation(self, id: OrganisationId) -> Organisation | None:
        """What is known of an organisation."""
        return self.organisations.get(id)

    @query
    def is_active(self, id: OrganisationId) -> bool:
        """Whether there is such an organisation, neither suspended, revoked nor held."""
        found = self.organisations.get(id)
        return found is not None and found.status == ACTIVE and not found.held_by

    @query
    def organisation_list(self) -> list[Organisation]:
        """The first thousand organisations, by id."""
        return list(self.organisations.values(limit=LIST_MAX))

    @query
    def user_list(self, organisation: OrganisationId) -> list[User]:
        """The first thousand users of an organisation, revoked ones too."""
        return list(self.users.values(organisation, limit=LIST_MAX))

    @query
    def key(self, key: PublicKey) -> Key | None:
        """What is known of a key, ended ones too."""
        return self.keys.get(key)

    @query
    def key_list(self, organisation: OrganisationId) -> list[Key]:
        """The first thousand keys of an organisation, ended ones too."""
        return list(self.keys_of.values(organisation, limit=LIST_MAX))

    @query
    def signatures(self, record_hash: DocumentHash) -> list[Signature]:
        """The electronic signatures of a record, the first thousand, oldest first."""
        found = list(self.signed.values(record_hash, limit=LIST_MAX))
        return sorted(found, key=lambda signature: signature.time)
