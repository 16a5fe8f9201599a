"""What an audit export is asked for, checked first: a mistyped filter would prove that nothing
happened.

What the chain does not know is refused, and what there is is named. Whether an item was ever on the
chain is known only after the blocks were read: recalls name lots that nobody commissioned.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from cli.audit_rows import Wanted
from consensus.primitives.errors import HansaError, InputError

if TYPE_CHECKING:
    from cli.proven import Source

Ask = Callable[[str, str, dict[str, Any]], Any]
"""A contract's query: contract, method, arguments."""

NAMED_MAX: Final = 40
_BYTES: Final = re.compile(r"(?:[0-9a-f]{2})+\Z")
_NUMBER: Final = re.compile(r"\d{1,18}\Z", re.ASCII)


def wanted_of(
    source: Source,
    *,
    item: str | None = None,
    record: str | None = None,
    record_of: str | None = None,
    organisation: str | None = None,
) -> Wanted:
    """The filter. Raises InputError BAD_ITEM, UNKNOWN_CONTRACT, UNKNOWN_MAP; ClientError
    UNKNOWN_ORGANISATION."""
    parts: list[Any] = []
    if item is not None:
        parts.append(item_path(item))
    if record is not None:
        parts.append(record)
        if _BYTES.match(record):
            parts.append(bytes.fromhex(record))
        if _NUMBER.match(record):
            parts.append(int(record))
    if organisation is not None:
        require_organisation(source.ask, organisation)
    if record_of is not None:
        _require_map(source, record_of)
    return Wanted(organisation or "", tuple(parts), record_of or "")


def item_path(text: str) -> str:
    """The one path of an item. Raises InputError BAD_ITEM."""
    from contracts.sdk import BadValue, Item
    from contracts.sdk.fields import field_of

    try:
        path: str = field_of(Item).check(text)
        return path
    except BadValue as error:
        raise InputError("BAD_ITEM", f"--item: {error.message}") from None


def require_organisation(ask: Ask, organisation: str) -> None:
    """Raises ClientError UNKNOWN_ORGANISATION with those that there are."""
    from cli.client import ClientError

    try:
        known = ask("identity", "organisation", {"id": organisation})
    except HansaError as error:
        if error.code != "BAD_ARGUMENT":
            raise
        known = None  # not even an id's form
    if known is None:
        rows = ask("identity", "organisation_list", {})
        there = _named(f"{one['id']} ({one['name']})" for one in rows)
        raise ClientError(
            "UNKNOWN_ORGANISATION",
            f"--organisation: {organisation} is none of this chain; there are {there}",
        )


def _require_map(source: Source, record_of: str) -> None:
    schema = source.contracts()
    contract, _, name = record_of.partition(".")
    if contract not in schema:
        raise InputError(
            "UNKNOWN_CONTRACT",
            f"--of: there is no contract {contract}; there are {_named(sorted(schema))}",
        )
    kept = schema[contract].get("records")
    if kept is None:
        return  # a node of an earlier release does not say
    if not kept:
        raise InputError("UNKNOWN_MAP", f"--of: {contract} has no audit trail")
    if "." in record_of and name not in kept:
        raise InputError(
            "UNKNOWN_MAP",
            f"--of: {contract} has no audit trail of {name or 'that'}, but of {_named(kept)}",
        )


def require_known(ask: Ask, item: str) -> None:
    """For an item of which nothing was found: raises ClientError UNKNOWN_ITEM unless some contract
    knows it."""
    from cli.client import ClientError

    path = item_path(item)
    asked = (("batch", "item"), ("batch", "holds_on"), ("epcis", "events_of"))
    if not any(ask(contract, method, {"item": path}) for contract, method in asked):
        raise ClientError("UNKNOWN_ITEM", f"--item: nothing is known of {path}")


def _named(names: Iterable[str]) -> str:
    all_ = list(names)
    shown = ", ".join(all_[:NAMED_MAX])
    return shown if len(all_) <= NAMED_MAX else f"{shown} and {len(all_) - NAMED_MAX} more"
