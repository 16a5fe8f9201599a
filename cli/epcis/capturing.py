"""From a valid event to the call that captures it.

What enters the transaction in clear is GS1 keys of things and places, closed lists of words, times
and hashes. Parties stand there only where they are organisations of the consortium; all else is in
the canonical document, of which only a commitment leaves this machine.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from cli.arguments import Opening
from cli.epcis import vocabulary
from cli.epcis.checks import Checked, Named, parse_time
from cli.epcis.event_hash import event_digest
from cli.epcis.structure import Broken, Tree, to_text
from consensus.primitives.errors import InputError
from consensus.transaction import Call
from contracts.sdk.commitments import SALT_BYTES, commit
from contracts.supply.epcis_records import CORRECTIVE_MAX, OBJECT, THINGS_MAX
from contracts.supply.things import OUTPUTS_MAX

_OTHER: Final = "other"
_VISIBLE: Final = re.compile(r"[!-~]*", re.ASCII)
_LOT: Final = re.compile(r"[!-?A-Z_a-z]{1,20}", re.ASCII)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{6}", re.ASCII)

IsMember = Callable[[str], bool]


class Capture(NamedTuple):
    """The call of `epcis.capture`, the event hash's digest, and what opens the document."""

    call: Call
    digest: bytes
    opening: Opening


def capture_of(event: Checked, is_member: IsMember) -> Capture:
    """How an event is captured. ``is_member`` tells whether a GLN is an active organisation.

    Raises Broken EPCIS_EVENT_TOO_LARGE.
    """
    try:
        text = to_text(event.source)
    except InputError as error:
        raise Broken(error.code, error.message) from None
    salt = secrets.token_bytes(SALT_BYTES)
    opening = Opening("document", "party", commit(salt, text), salt, text)
    digest = event_digest(event.source)
    public, without = _public(event, digest, is_member)
    args: Tree = {"event": public, "document": opening.commitment}
    if without:
        args["without"] = without
    return Capture(Call("epcis", "capture", args), digest, opening)


def _public(event: Checked, digest: bytes, is_member: IsMember) -> tuple[Tree, str]:
    """The public dimensions, and the code of why no effect is to be tried."""
    named = [one for one in event.things if one.path and not one.trouble][:THINGS_MAX]
    public: Tree = {
        "hash": digest,
        "type": event.type,
        "time": event.time_ms,
        "offset_minutes": event.offset_minutes,
        "action": event.action,
        "event_id": event.source.event_id if _VISIBLE.fullmatch(event.source.event_id) else "",
        "step": _other(event.step),
        "disposition": _other(event.disposition),
        "things": [_thing(one) for one in named],
        "unnamed": len(event.things) - len(named),
    }
    for name, gln in (("read_point", event.read_point), ("location", event.location)):
        if gln:
            public[name] = gln
    if _LOT.fullmatch(event.lot):
        public["lot"] = event.lot
    if _DATE.fullmatch(event.expiry):
        public["expiry"] = event.expiry
    if event.error is not None:
        public["error"] = _declaration(event.error)
    without = _trouble(event, len(named))
    if event.step in ("shipping", "consigning", "void_shipping", "receiving"):
        without = _add_parties(public, event, is_member) or without
    return public, without


def _thing(one: Named) -> Tree:
    thing: Tree = {"thing": one.path}
    if one.role != OBJECT:
        thing["role"] = one.role
    if one.amount is not None:
        thing["quantity"] = {"amount": one.amount, "unit": one.unit}
    return thing


def _other(word: str) -> str:
    """Another vocabulary's URI may say anything, so it does not stand on the chain."""
    return _OTHER if ":" in word else word


def _trouble(event: Checked, named: int) -> str:
    """Why the ledger has no such effect, whatever its state."""
    if event.type in ("TransactionEvent", "AssociationEvent"):
        return ""
    for one in event.things:
        if one.trouble:
            return one.trouble
        if not one.is_item:
            return "ID_NOT_COVERED"
    if len(event.things) > named:
        return "TOO_MANY_ITEMS"
    roles = [one.role for one in event.things]
    if event.type == "TransformationEvent" and max(map(roles.count, set(roles))) > OUTPUTS_MAX:
        return "TOO_MANY_ITEMS"
    return ""


def _add_parties(public: Tree, event: Checked, is_member: IsMember) -> str:
    """Whom things go to and come from; ownership goes along to an owning_party (rule 16)."""
    owning = event.destinations.get("owning_party", "")
    possessing = event.destinations.get("possessing_party", "")
    if event.step == "receiving":
        sender = event.sources.get("possessing_party") or event.sources.get("owning_party")
        if sender and is_member(sender):
            public["sender"] = sender
        return ""
    consignee = possessing or owning
    if not consignee:
        return "CONSIGNEE_REQUIRED"
    if possessing and owning and possessing != owning:
        return "OWNER_ELSEWHERE"
    if not is_member(consignee):
        return "UNKNOWN_CONSIGNEE"
    public["consignee"] = consignee
    public["keep_ownership"] = not owning
    owner, holder = event.sources.get("owning_party"), event.sources.get("possessing_party")
    if owner and holder and owner != holder:
        if not is_member(owner):
            return "UNKNOWN_OWNER"
        public["owner"] = owner
    return ""


def _declaration(error: Tree) -> dict[str, Any]:
    reason = vocabulary.bare(error.get("reason", ""), "reason")
    known = reason if reason in vocabulary.REASONS else (_OTHER if reason else "")
    ids = [one for one in error.get("correctiveEventIDs", []) if _VISIBLE.fullmatch(one)]
    return {
        "time": max(0, parse_time(error.get("declarationTime", "")) or 0),
        "reason": known,
        "corrective_ids": ids[:CORRECTIVE_MAX],
    }
