"""What a checked bundle says, for people and for scripts: nothing but what it proves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from cli import output
from cli.bundle import subjects
from cli.bundle.form import Bundle, Checked, invalid
from cli.proven_queries import block_context, in_force
from consensus.primitives.codec import data_to_json
from consensus.primitives.errors import InputError
from contracts.runtime.audit import EVENT
from contracts.runtime.executor import run_query


def answered(bundle: Bundle, checked: Checked) -> dict[str, Any]:
    """The answers to the subject's questions, by the contracts' code over the proven state.

    Raises InputError EVIDENCE_INVALID, and EVIDENCE_CODE where the chain ran other contracts than
    this release brings and the bundle has none.
    """
    header = checked.header
    try:
        registry = in_force(header, checked.state)
    except InputError:
        raise InputError(
            "EVIDENCE_CODE",
            "the chain ran other contracts than this release brings: export it --with-code, or use"
            " scripts/verify_evidence.py, which shows the records as they are",
        ) from None

    def ask(contract: str, method: str, args: dict[str, Any]) -> Any:
        return run_query(registry, checked.state, block_context(header), contract, method, args)

    try:
        found = subjects.answers(bundle.kind, bundle.subject, ask)
    except InputError as error:
        raise checked.state.lacking or invalid(error.message) from None
    for one in checked.told:
        if not subjects.is_about(bundle.kind, bundle.subject, one.receipt):
            raise invalid(f"a receipt of block {one.header.height} is about other things")
    return found


def shown(
    bundle: Bundle, checked: Checked, found: dict[str, Any], *, pinned: bool
) -> dict[str, Any]:
    """As JSON."""
    header = checked.header
    told: dict[str, Any] = {
        "kind": bundle.kind,
        "subject": bundle.subject,
        "chain_id": bundle.chain_id.hex(),
        "pinned": pinned,
        "height": header.height,
        "block_hash": header.digest.hex(),
        "block_time_ms": header.time_ms,
        "sealed_by": checked.sealed_by,
        "checksum": bundle.checksum.hex(),
        "answers": data_to_json(found),
        "transactions": [],
        "openings": [
            {"commitment": one.hex(), "value": data_to_json(value)} for one, value in checked.opened
        ],
    }
    for one in checked.told:
        sent = one.transaction
        told["transactions"].append(
            {
                "height": one.header.height,
                "time_ms": one.header.time_ms,
                "tx_id": None if sent is None else sent.tx_id.hex(),
                "body": None if sent is None else sent.body.to_json(),
                "receipt": one.receipt.to_json(),
            }
        )
    if bundle.kind == subjects.ITEM:
        told["under_recall"] = _recall_of(found) is not None
    return told


def told_rows(checked: Checked, found: dict[str, Any]) -> list[tuple[Any, ...]]:
    """A row for each transaction: block, time, organisation, calls, code, id."""
    rows = []
    for one in sorted(checked.told, key=lambda told: told.header.height):
        if one.transaction is None:
            who, what, tx_id = "", "by itself: " + ".".join(one.receipt.result or ()), ""
        else:
            body = one.transaction.body
            who = _who(one.receipt, found)
            what = ", ".join(f"{call.contract}.{call.method}" for call in body.calls)
            tx_id = output.short(one.transaction.tx_id.hex())
        time = output.when(one.header.time_ms)
        rows.append((one.header.height, time, who, what, one.receipt.code, tx_id))
    return rows


def _who(receipt: Any, found: dict[str, Any]) -> str:
    """The organisation that the audit trail names."""
    for event in receipt.events:
        if event.name == EVENT:
            one = event.fields["organisation"]
            return str(found["names"].get(one, one))
    return ""


def sentences(kind: str, found: dict[str, Any]) -> Iterator[str]:
    if kind == subjects.ITEM:
        yield from _of_item(found)
    elif kind == subjects.RECALL:
        yield from _of_recall(found)
    else:
        yield from _of_credit(found)


def _recall_of(found: dict[str, Any]) -> dict[str, Any] | None:
    hold = found["item"]["hold"]
    return hold if hold is not None and hold["recall"] else None


_STOCKS: Final = (("free", ""), ("quarantined", " in quarantine"), ("expired", " expired"))


def _of_item(found: dict[str, Any]) -> Iterator[str]:
    item, names = found["item"], found["names"]
    hold, recall = item["hold"], _recall_of(found)
    if recall is not None:
        by = names.get(recall["by"], recall["by"])
        yield f"Under recall {recall['recall']} of {by}."
    else:
        yield "Not under recall: no recall's hold stands on it, nor on what it was made of."
    if hold is not None and recall is None:
        yield f"Held by {names.get(hold['by'], hold['by'])} (hold {hold['holding']})."
    if item["expired"]:
        yield "Expired."
    for stock in item.get("stock", []):
        holder, owner = (names.get(stock[one], stock[one]) for one in ("holder", "owner"))
        owned = "" if holder == owner else f", owned by {owner}"
        for name, what in (
            ("free", ""),
            ("quarantined", " in quarantine"),
            ("expired", " expired"),
        ):
            if stock[name]:
                yield f"{stock[name]} {item['record']['unit']}{what} at {holder}{owned}."
    for transit in item.get("transit", []):
        yield f"on its way to {names.get(transit['consignee'], transit['consignee'])}."
    if "holder" in item:
        yield f"At {names.get(item['holder'], item['holder'])}."
    events = found["trace"]["events"]
    whole = "all there are" if found["trace"]["complete"] else "the first of more"
    yield f"{output.counted(len(events), 'event')} in its history, {whole}."
    for name in ("inspections", "certificates"):
        if found[name]:
            yield f"{len(found[name])} {name}."


def _of_recall(found: dict[str, Any]) -> Iterator[str]:
    recall, names = found["recall"]["recall"], found["names"]
    firm = names.get(recall["firm"], recall["firm"])
    yield f"Recall of {firm}, {recall['state']}."
    announced = found["recall"]["announcement"]
    if announced is not None:
        yield f"{announced['product']}: {announced['reason']}"
    for goods in found["scope"]:
        yield f"names {goods['item']}"
    yield f"{output.counted(len(found['notices']), 'notice')} went out."
    for total in found["report"]["totals"]:
        figures = ", ".join(
            f"{value} {name.replace('_', ' ')}"
            for name, value in total.items()
            if type(value) is int and value
        )
        yield f"lot {total['lot'] or '-'} of {total['product']}, {total['unit']}: {figures}"


def _of_credit(found: dict[str, Any]) -> Iterator[str]:
    credit, names = found["credit"]["credit"], found["names"]
    yield f"{credit['state']}, expires {credit['expiry']}."
    for role in ("applicant", "beneficiary", "issuer", "advising", "nominated"):
        if credit[role]:
            yield f"{role}: {names.get(credit[role], credit[role])}"
    for one in found["presentations"]:
        presentation = one["presentation"]
        disputed = ", disputed" if presentation["disputed"] else ""
        yield f"presentation {one['number']}: {presentation['state']}{disputed}"
