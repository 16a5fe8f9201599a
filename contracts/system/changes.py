"""What governance may change, what must hold for it, and how it is done.

The state kept here is the truth that every node follows: who votes, who is admitted, which
parameters hold, which code runs.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from contracts.sdk import (
    Contract,
    Counter,
    DocumentHash,
    Map,
    OrganisationId,
    PublicKey,
    Record,
    Text,
    refuse,
)

VALIDATOR_ADD: Final = "validator_add"
VALIDATOR_REMOVE: Final = "validator_remove"
VALIDATOR_ROTATE: Final = "validator_rotate"
NODE: Final = "node"
NODE_REMOVE: Final = "node_remove"
PARAMS: Final = "params"
CONTRACT: Final = "contract"
QUOTA: Final = "quota"
USAGE_PERIOD: Final = "usage_period"

VALIDATOR_KINDS: Final = (VALIDATOR_ADD, VALIDATOR_REMOVE, VALIDATOR_ROTATE)

VALIDATORS_MAX: Final = 64
NODES_MAX: Final = 512
# Parameters that a vote may change, with bounds wide of which the chain could not vote again.
BOUNDS: Final = (
    ("runtime", 1, 255),  # the newest that contracts may pin; nodes without it stop
    ("min_block_interval_ms", 1, 60_000),
    ("empty_block_interval_ms", 100, 86_400_000),
    ("round_timeout_ms", 100, 600_000),
    ("round_timeout_max_ms", 10_000, 3_600_000),  # else the slowest block would be too slow
    ("clock_drift_ms", 100, 60_000),
    ("tx_window_ms", 10_000, 86_400_000),
    ("tx_bytes_max", 8_192, 65_536),
    ("tx_steps_max", 1_000_000, 1_000_000_000_000),
    ("block_txs_max", 1, 10_000),
    ("block_bytes_max", 65_536, 8_388_608),
    ("block_steps_max", 1_000_000, 1_000_000_000_000),
)
# The first of each is at least the second.
ORDERED: Final = (
    ("round_timeout_max_ms", "round_timeout_ms"),
    ("empty_block_interval_ms", "min_block_interval_ms"),
    ("tx_window_ms", "min_block_interval_ms"),
    ("block_bytes_max", "tx_bytes_max"),
    ("block_steps_max", "tx_steps_max"),
)
# Names under which the chain itself keeps state.
RESERVED: Final = ("consensus", "due")

NodeName = Annotated[str, Text(64, pattern="[A-Za-z0-9][A-Za-z0-9._-]*")]


class Validator(Record):
    """A node that votes. Validators take turns in the order of their numbers."""

    number: int
    name: NodeName
    key: PublicKey
    organisation: OrganisationId


class Node(Record):
    """A node that is admitted to the network, by the key that proves it is this one."""

    network_key: PublicKey
    name: NodeName
    organisation: OrganisationId
    kind: str  # validator or full
    consensus_key: bytes  # a validator's; else empty
    addresses: list[str]  # host:port


class FileHash(Record):
    """A file of a contract, named by its content."""

    path: Annotated[str, Text(128)]
    hash: DocumentHash


class Manifest(Record):
    """The code that a contract runs."""

    name: str
    version: int
    runtime: int
    files: list[FileHash]


class Changes(Contract):
    """The chain's own records, and the changes that a vote can make in them."""

    validators = Map(Validator, key=("number",))
    next_number = Counter()  # of the next validator
    nodes = Map(Node, key=("network_key",))
    params = Map(int, key=("name",))  # and one text: the fault model
    packages = Map(Manifest, key=("name",))
    sources = Map(str, key=("hash",))

    def _check_change(self, kind: str, args: dict[str, Any]) -> None:
        """Refuse a change that can't be made as things are now."""
        if kind == VALIDATOR_ADD:
            self._check_validator_add(args)
        elif kind == VALIDATOR_REMOVE:
            self._check_validator_remove(args)
        elif kind == VALIDATOR_ROTATE:
            self._validator(args["name"])
            self._check_new_key(args["consensus_key"])
        elif kind == NODE:
            self._check_node(args)
        elif kind == NODE_REMOVE:
            self._check_node_remove(args)
        elif kind == PARAMS:
            self._check_params(args["changes"])
        elif kind == CONTRACT:
            self._check_contract(args)
        elif kind == QUOTA:
            self._check_organisation(args["organisation"])
            limits = {name: args[name] for name in ("steps", "bytes", "calls")}
            self.invoke("usage", "check_quota", **limits)

    def _change(self, kind: str, args: dict[str, Any]) -> None:
        """Make a change that was checked."""
        if kind == VALIDATOR_ADD:
            number = self.next_number.add() - 1
            key, organisation = args["consensus_key"], args["organisation"]
            self.validators.put(number, Validator(number, args["name"], key, organisation))
            self._set_node_key(args["name"], key)
        elif kind == VALIDATOR_REMOVE:
            validator = self._validator(args["name"])
            self.validators.delete(validator.number)
            self._set_node_key(validator.name, b"")
        elif kind == VALIDATOR_ROTATE:
            validator = self._validator(args["name"])
            validator.key = args["consensus_key"]
            self.validators.put(validator.number, validator)
            self._set_node_key(validator.name, validator.key)
        elif kind == NODE:
            self._put_node(args)
        elif kind == NODE_REMOVE:
            self.nodes.delete(args["network_key"])
        elif kind == PARAMS:
            for name, value in args["changes"].items():
                self.params.put(name, value)
        elif kind == CONTRACT:
            files = [FileHash(path, digest) for path, digest in args["files"]]
            manifest = Manifest(args["name"], args["version"], args["runtime"], files)
            self.packages.put(manifest.name, manifest)
        elif kind == QUOTA:
            self.invoke("usage", "set_quota", **args)
        elif kind == USAGE_PERIOD:
            self.invoke("usage", "set_period", **args)

    # --- validators -------------------------------------------------------------------------

    def _check_validator_add(self, args: dict[str, Any]) -> None:
        validators = list(self.validators.values())
        if len(validators) >= VALIDATORS_MAX:
            refuse("TOO_MANY_VALIDATORS", f"there are {len(validators)}")
        node = self.nodes.get(args["network_key"])
        if node is None:
            refuse("UNKNOWN_NODE", "the validator's node is not admitted")
        if node.kind == "validator":
            refuse("VALIDATOR_KNOWN", f"{node.name} is a validator already")
        if node.name != args["name"] or node.organisation != args["organisation"]:
            refuse("NODE_DIFFERS", f"the node is {node.name} of {node.organisation}")
        if not node.addresses:
            refuse("NODE_DIFFERS", "a validator's node has an address")
        self._check_organisation(args["organisation"])
        self._check_new_key(args["consensus_key"])

    def _check_validator_remove(self, args: dict[str, Any]) -> None:
        self._validator(args["name"])
        left = len(list(self.validators.values())) - 1
        least = 3 if self._fault_model() == "crash" else 4
        if left < least:
            refuse("TOO_FEW_VALIDATORS", f"{left} would be left, {least} are the least")

    def _validator(self, name: str) -> Validator:
        for validator in self.validators.values():
            if validator.name == name:
                return validator
        refuse("UNKNOWN_VALIDATOR", f"{name} is not a validator")

    def _check_new_key(self, key: bytes) -> None:
        """A key is one validator's, node's or person's, and never two of these."""
        for validator in self.validators.values():
            if validator.key == key:
                refuse("KEY_IN_USE", f"it is the validator {validator.name}'s consensus key")
        if key in self.nodes:
            refuse("KEY_IN_USE", "it is a node's network key")
        if self.invoke("identity", "key", key=key) is not None:
            refuse("KEY_IN_USE", "it is a key of an organisation's people")

    # --- nodes ------------------------------------------------------------------------------

    def _check_node(self, args: dict[str, Any]) -> None:
        key = args["network_key"]
        for address in args["addresses"]:
            if not is_address(address):
                refuse("BAD_ADDRESS", f"{address} is not host:port with a port of 1 to 65535")
        self._check_organisation(args["organisation"])
        known = self.nodes.get(key)
        if known is None:
            self._check_new_key(key)
        elif known.kind == "validator" and (
            known.name != args["name"]
            or known.organisation != args["organisation"]
            or not args["addresses"]
        ):
            refuse("NODE_IS_VALIDATOR", "a validator's node keeps its name, organisation, address")
        nodes = list(self.nodes.values())
        if known is None and len(nodes) >= NODES_MAX:
            refuse("TOO_MANY_NODES", f"there are {len(nodes)}")
        for node in nodes:
            if node.name == args["name"] and node.network_key != key:
                refuse("NODE_KNOWN", f"another node is called {node.name}")

    def _check_node_remove(self, args: dict[str, Any]) -> None:
        node = self.nodes.get(args["network_key"])
        if node is None:
            refuse("UNKNOWN_NODE", "no such node is admitted")
        if node.kind == "validator":
            refuse("NODE_IS_VALIDATOR", f"{node.name} votes: remove the validator first")

    def _put_node(self, args: dict[str, Any]) -> None:
        node = self.nodes.get(args["network_key"])
        if node is None:
            node = Node(args["network_key"], "", "", "full", b"", [])
        node.name = args["name"]
        node.organisation = args["organisation"]
        node.addresses = args["addresses"]
        self.nodes.put(node.network_key, node)

    def _set_node_key(self, name: str, consensus_key: bytes) -> None:
        """Note on a validator's node with which key it votes; with none it is a full node."""
        for node in list(self.nodes.values()):
            if node.name == name:
                node.consensus_key = consensus_key
                node.kind = "validator" if consensus_key else "full"
                self.nodes.put(node.network_key, node)

    def _check_organisation(self, id: str) -> None:
        if not self.invoke("identity", "is_active", id=id):
            refuse("UNKNOWN_ORGANISATION", f"{id} is no active organisation")

    # --- parameters -------------------------------------------------------------------------

    def _check_params(self, changes: dict[str, Any]) -> None:
        if not changes:
            refuse("BAD_PARAMS", "nothing would change")
        for name, value in changes.items():
            self._check_bounds(name, value)
        for larger, smaller in ORDERED:
            if self._after(larger, changes) < self._after(smaller, changes):
                refuse("BAD_PARAMS", f"{larger} must be at least {smaller}")

    def _check_bounds(self, name: str, value: Any) -> None:
        for known, least, most in BOUNDS:
            if known == name:
                if not isinstance(value, int) or isinstance(value, bool):
                    refuse("BAD_PARAMS", f"{name} is a whole number")
                if not least <= value <= most:
                    refuse("BAD_PARAMS", f"{name} is from {least} to {most}")
                if name == "runtime":
                    self._check_runtime(value)
                return
        refuse("BAD_PARAMS", f"{name[:64]} is no parameter that a vote may change")

    def _check_runtime(self, value: int) -> None:
        """Contracts may be using the present version; nobody may have one far above it."""
        known = self.params.get("runtime") or 1
        if not known <= value <= known + 1:
            refuse("BAD_PARAMS", f"after runtime {known} comes {known + 1}")

    def _after(self, name: str, changes: dict[str, Any]) -> int:
        """What a parameter will be."""
        value: int = changes.get(name) or self.params.get(name) or 0
        return value

    def _fault_model(self) -> str:
        model: Any = self.params.get("fault_model")
        return model or "byzantine"

    # --- contracts --------------------------------------------------------------------------

    def _check_contract(self, args: dict[str, Any]) -> None:
        name, version = args["name"], args["version"]
        if name in RESERVED:
            refuse("NAME_RESERVED", f"{name} is the chain's own")
        known = self.packages.get(name)
        if known is not None and version <= known.version:
            refuse("VERSION_NOT_NEWER", f"{name} has version {known.version} already")

    def _texts(self, files: list[list[Any]]) -> list[list[str]]:
        """[path, text] of files named as [path, SHA-256]."""
        found = []
        for path, digest in files:
            text = self.sources.get(digest)
            if text is None:
                refuse("UNKNOWN_SOURCE", f"{path}: its text was not uploaded")
            found.append([path, text])
        return found


# --- where a node can be reached ------------------------------------------------------------


def is_address(address: str) -> bool:
    """Whether it is host:port, the host a DNS name, IPv4 or [IPv6] address, the port not 0.

    The rule is the genesis document's: nothing voted may be unknown to the network.
    """
    host, _, port = address.rpartition(":")
    if not port.isdigit() or len(port) > 5 or not 1 <= int(port) <= 65_535:
        return False
    if host[:1] == "[" and host[-1:] == "]":
        return is_ipv6(host[1:-1])
    labels = host.split(".")
    if all([label == "" or label.isdigit() for label in labels]):
        return is_ipv4(host)
    return len(host) <= 253 and all([is_label(label) for label in labels])


def is_label(text: str) -> bool:
    """A part of a DNS name."""
    return len(text) <= 63 and text[:1] != "-" and text.replace("-", "a").isalnum()


def is_ipv4(text: str) -> bool:
    """Four numbers of one byte, without leading zeros."""
    parts = text.split(".")
    return len(parts) == 4 and all([is_byte(part) for part in parts])


def is_byte(text: str) -> bool:
    if not text.isdigit() or len(text) > 3 or int(text) > 255:
        return False
    return text == "0" or text[0] != "0"


def is_ipv6(text: str) -> bool:
    """Eight groups of up to four hex digits; ``::`` once for one or more of zeros."""
    halves = text.split("::")
    if len(halves) > 2:
        return False
    groups = 0
    for place, half in enumerate(halves):
        parts = half.split(":") if half else []
        if parts and place == len(halves) - 1 and "." in parts[-1]:
            if not is_ipv4(parts[-1]):
                return False
            parts = [*parts[:-1], "0", "0"]
        if not all([is_group(part) for part in parts]):
            return False
        groups += len(parts)
    return groups == 8 if len(halves) == 1 else groups <= 7


def is_group(text: str) -> bool:
    return 1 <= len(text) <= 4 and all([digit in "0123456789abcdefABCDEF" for digit in text])
