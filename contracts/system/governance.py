"""Governance: what validators' organisations decide by vote.

A corporate administrator of an organisation that has a validator proposes and votes. The vote of
an organisation counts once for each of its validators, and cannot be changed::

    OPEN -> ACCEPTED -> ACTIVE | FAILED          OPEN -> REJECTED | EXPIRED | WITHDRAWN

A proposal is **accepted** when a quorum of the validators of that moment has said yes: two thirds
of them, rounded up (more than half where the consortium trusts its members not to lie). It is
**rejected** when that can't be reached any more, **expired** when block time has passed its
deadline. What is accepted takes effect at the height that was asked for, or as soon as may be:

* validators and parameters two blocks after the decision at the earliest, so that a header names
  them one block before they count; one change of the validators at a time;
* nodes, contracts and quotas with the next block at the earliest, before its transactions.

A change is checked when it is proposed, when it is decided, and when it is made. One that can't be
made then has **failed**, and leaves everything as it was.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from contracts.sdk import (
    Blob,
    Choice,
    DocumentHash,
    Int,
    OrganisationId,
    PublicKey,
    Record,
    Size,
    Text,
    Timestamp,
    call,
    genesis,
    query,
    refuse,
    timed,
)
from contracts.system.changes import (
    CONTRACT,
    NODE,
    NODE_REMOVE,
    PARAMS,
    QUOTA,
    USAGE_PERIOD,
    VALIDATOR_ADD,
    VALIDATOR_REMOVE,
    VALIDATOR_ROTATE,
    FileHash,
    Manifest,
    Node,
    NodeName,
    Validator,
)
from contracts.system.voting import (
    ACTIVE,
    DAY_MS,
    FAILED,
    FAULTS,
    WITHDRAWN,
    Accusation,
    Vote,
    Voting,
    lead,
)

LIST_MAX: Final = 100
SOURCE_MAX: Final = 60_000
FILES_MAX: Final = 32

Number = Annotated[int, Int(1)]
Height = Annotated[int, Int(0)]
Amount = Annotated[int, Int(0)]
Address = Annotated[str, Text(262, pattern="[A-Za-z0-9._:\\[\\]-]+")]
Addresses = Annotated[list[Address], Size(8)]
ContractName = Annotated[str, Text(24, pattern="[a-z][a-z0-9_]*")]
Source = Annotated[str, Text(SOURCE_MAX)]


class NewValidator(Record):
    name: NodeName
    key: PublicKey
    organisation: OrganisationId


class NewNode(Record):
    network_key: PublicKey
    name: NodeName
    organisation: OrganisationId
    kind: Annotated[str, Choice("validator", "full")]
    consensus_key: Annotated[bytes, Blob(32)]
    addresses: Addresses


class NewFile(Record):
    path: Annotated[str, Text(128)]
    text: Source


class NewPackage(Record):
    name: ContractName
    version: Annotated[int, Int(0)]
    runtime: Annotated[int, Int(1)]
    files: Annotated[list[NewFile], Size(FILES_MAX, 1)]


class Governance(Voting):
    """Validators, admitted nodes, parameters, contracts and quotas, by vote."""

    name = "governance"
    audited = True

    @genesis
    def found(
        self,
        validators: Annotated[list[NewValidator], Size(64)] | None = None,
        nodes: Annotated[list[NewNode], Size(512)] | None = None,
        params: dict[str, Any] | None = None,
        packages: Annotated[list[NewPackage], Size(64)] | None = None,
    ) -> None:
        """What the consortium sealed."""
        for one in validators or []:
            number = self.next_number.add() - 1
            self.validators.put(number, Validator(number, one.name, one.key, one.organisation))
        for new in nodes or []:
            self.nodes.put(
                new.network_key,
                Node(
                    new.network_key,
                    new.name,
                    new.organisation,
                    new.kind,
                    new.consensus_key,
                    new.addresses,
                ),
            )
        for name, value in (params or {}).items():
            self.params.put(name, value)
        for package in packages or []:
            files = [FileHash(file.path, self._keep(file.text)) for file in package.files]
            manifest = Manifest(package.name, package.version, package.runtime, files)
            self.packages.put(package.name, manifest)

    # --- proposing --------------------------------------------------------------------------

    @call(roles=("corporate_admin",))
    def propose_validator_add(
        self,
        name: NodeName,
        consensus_key: PublicKey,
        organisation: OrganisationId,
        network_key: PublicKey,
        height: Height = 0,
        expires_ms: Timestamp = 0,
    ) -> int:
        """Propose that an admitted node votes, too."""
        args = {
            "name": name,
            "consensus_key": consensus_key,
            "organisation": organisation,
            "network_key": network_key,
        }
        what = f"validator {name} of {organisation}"
        return self._propose(VALIDATOR_ADD, what, args, height, expires_ms)

    @call(roles=("corporate_admin",))
    def propose_validator_remove(
        self, name: NodeName, height: Height = 0, expires_ms: Timestamp = 0
    ) -> int:
        """Propose that a validator votes no more; its node stays admitted."""
        what = f"no validator {name}"
        return self._propose(VALIDATOR_REMOVE, what, {"name": name}, height, expires_ms)

    @call(roles=("corporate_admin",))
    def propose_validator_rotate(
        self,
        name: NodeName,
        consensus_key: PublicKey,
        height: Height = 0,
        expires_ms: Timestamp = 0,
    ) -> int:
        """Propose another consensus key for a validator."""
        args = {"name": name, "consensus_key": consensus_key}
        what = f"validator {name} votes with {consensus_key.hex()[:16]}.."
        return self._propose(VALIDATOR_ROTATE, what, args, height, expires_ms)

    @call(roles=("corporate_admin",))
    def propose_node(
        self,
        network_key: PublicKey,
        name: NodeName,
        organisation: OrganisationId,
        addresses: Addresses | None = None,
        height: Height = 0,
        expires_ms: Timestamp = 0,
    ) -> int:
        """Propose to admit a node, or other addresses or another name for an admitted one."""
        args: dict[str, Any] = {
            "network_key": network_key,
            "name": name,
            "organisation": organisation,
            "addresses": addresses or [],
        }
        what = f"node {name} of {organisation}"
        return self._propose(NODE, what, args, height, expires_ms)

    @call(roles=("corporate_admin",))
    def propose_node_remove(
        self, network_key: PublicKey, height: Height = 0, expires_ms: Timestamp = 0
    ) -> int:
        """Propose that a node is admitted no more."""
        args = {"network_key": network_key}
        what = f"no node {network_key.hex()[:16]}.."
        return self._propose(NODE_REMOVE, what, args, height, expires_ms)

    @call(roles=("corporate_admin",))
    def propose_params(
        self, changes: dict[str, int], height: Height = 0, expires_ms: Timestamp = 0
    ) -> int:
        """Propose other values of parameters, all of them together."""
        self._check_params(changes)
        what = ", ".join([f"{name} = {changes[name]}" for name in sorted(changes)])
        return self._propose(PARAMS, what, {"changes": changes}, height, expires_ms)

    @call(roles=("corporate_admin",))
    def propose_contract(
        self,
        name: ContractName,
        version: Annotated[int, Int(1)],
        runtime: Annotated[int, Int(1)],
        files: Annotated[list[FileHash], Size(FILES_MAX, 1)],
        height: Height = 0,
        expires_ms: Timestamp = 0,
    ) -> int:
        """Propose a new contract, or a newer version of one, of uploaded files.

        Refused with CONTRACT_REFUSED unless every node of this chain can load it.
        """
        self._check_elector()
        named: list[list[Any]] = [[file.path, file.hash] for file in files]
        args = {"name": name, "version": version, "runtime": runtime, "files": named}
        self._check_contract(args)
        self.check_package(name, version, runtime, self._texts(named))
        what = f"contract {name}, version {version}"
        return self._propose(CONTRACT, what, args, height, expires_ms)

    @call(roles=("corporate_admin",))
    def propose_quota(
        self,
        organisation: OrganisationId,
        steps: Amount = 0,
        bytes: Amount = 0,
        calls: Amount = 0,
        height: Height = 0,
        expires_ms: Timestamp = 0,
    ) -> int:
        """Propose what an organisation may use in a period; 0 is without limit."""
        args = {"organisation": organisation, "steps": steps, "bytes": bytes, "calls": calls}
        what = f"quota of {organisation}"
        return self._propose(QUOTA, what, args, height, expires_ms)

    @call(roles=("corporate_admin",))
    def propose_usage_period(
        self,
        period_ms: Annotated[int, Int(60_000, 366 * DAY_MS)],
        height: Height = 0,
        expires_ms: Timestamp = 0,
    ) -> int:
        """Propose how long a period is, at whose end all usage counts from 0 again."""
        args = {"period_ms": period_ms}
        what = f"usage periods of {period_ms} ms"
        return self._propose(USAGE_PERIOD, what, args, height, expires_ms)

    @call(roles=("corporate_admin",))
    def upload(self, text: Source) -> bytes:
        """Keep a file of source on chain, for a contract to be proposed. Answers its SHA-256."""
        self._check_elector()
        return self._keep(text)

    # --- deciding ---------------------------------------------------------------------------

    @call(roles=("corporate_admin",))
    def vote(self, proposal: Number, yes: bool) -> str:
        """Say yes or no, once, for all validators of the caller's organisation."""
        self._check_elector()
        record = self._open(proposal)
        me = self.ctx.organisation
        if (proposal, me) in self.votes:
            refuse("ALREADY_VOTED", f"{me} has voted on proposal {proposal}")
        self.votes.put((proposal, me), Vote(me, self.ctx.caller, yes, self.ctx.time_ms))
        self.emit("Voted", proposal=proposal, organisation=me, yes=yes)
        return self._decide(record)

    @call(roles=("corporate_admin",))
    def recount(self, proposal: Number) -> str:
        """Count an open proposal's votes again, after the validators have changed."""
        self._check_elector()
        return self._decide(self._open(proposal))

    @call(roles=("corporate_admin",))
    def withdraw(self, proposal: Number) -> None:
        """Take back an own proposal that is still open."""
        self._check_direct()
        record = self._open(proposal)
        if record.organisation != self.ctx.organisation:
            refuse("NOT_OWN_PROPOSAL", f"{record.organisation} made the proposal")
        self._end(record, WITHDRAWN)

    # --- taking effect ----------------------------------------------------------------------

    @timed
    def activate(self, proposal: Number) -> None:
        """Make an accepted change. The runtime calls this before a block's transactions."""
        record = self._accepted(proposal)
        self._check_change(record.kind, record.args)
        self._change(record.kind, record.args)
        record.in_force = self.ctx.height + lead(record.kind)  # later, if others came first
        self._end(record, ACTIVE)

    @timed
    def failed(self, proposal: Number, code: Annotated[str, Text(64)], detail: str = "") -> None:
        """Note that an accepted change could not be made: nothing of it was."""
        record = self._accepted(proposal)
        record.failure = code
        record.detail = detail
        self._end(record, FAILED)

    @timed
    def accuse(
        self, key: PublicKey, kind: Annotated[int, Int(1, len(FAULTS))], height: Height
    ) -> None:
        """Keep who contradicted itself. The runtime tells this of a block's evidence."""
        found = Accusation(key, "", "", FAULTS[kind - 1], height, self.ctx.height)
        for validator in self.validators.values():
            if validator.key == key:
                found.name = validator.name
                found.organisation = validator.organisation
        self.accusations.put((key, height, kind), found)
        self.emit("ValidatorAccused", key=key, name=found.name, fault=found.fault, height=height)

    # --- asking -----------------------------------------------------------------------------

    @query
    def proposal(self, proposal: Number) -> dict[str, Any] | None:
        """A proposal as it stands now, and which organisations have voted."""
        record = self.proposals.get(proposal)
        return None if record is None else self._shown(record)

    @query
    def proposal_list(self, last: Annotated[int, Int(1, LIST_MAX)] = LIST_MAX) -> list[Any]:
        """The newest proposals, at most a hundred, the newest last."""
        newest = self.last_proposal.value
        numbers = range(max(1, newest - last + 1), newest + 1)
        return [self.proposal(number) for number in numbers]

    @query
    def validator_list(self) -> list[Validator]:
        """The validators, in the order of their turns, as the next block's header names them."""
        return list(self.validators.values())

    @query
    def accusation_list(self) -> list[Accusation]:
        """What stands against validators, the first hundred by key; what follows is for a vote."""
        return list(self.accusations.values(limit=LIST_MAX))

    @query
    def node_list(self) -> list[Node]:
        """The admitted nodes."""
        return list(self.nodes.values())

    @query
    def params_now(self) -> dict[str, Any]:
        """The parameters."""
        found: dict[str, Any] = {}
        for name, value in self.params.items():
            found[name] = value
        return found

    @query
    def package_list(self) -> list[Manifest]:
        """The contracts with their versions and files."""
        return list(self.packages.values())

    @query
    def source(self, hash: DocumentHash) -> str | None:
        """An uploaded file by its SHA-256."""
        return self.sources.get(hash)
