"""The report of a divergence, as operators read it: JSON, bytes in hex."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from consensus.block import Content, Header
from consensus.outcomes import Detail, Difference, Entry, Outcomes
from consensus.primitives.codec import data_to_json, decode
from consensus.primitives.errors import CodecError, InputError
from consensus.primitives.keys import Digest, decode_key, digest_part
from consensus.receipt import Receipt
from consensus.transaction import Transaction

OTHERS_MAX: Final = 100
_COMPARED: Final = ("code", "detail", "steps_used", "events", "result")


@dataclass(frozen=True)
class Case:
    """What a report is about. ``kind``: "diverged", a quorum has another outcome than this node;
    "split", no outcome has one. ``me`` is the sender of the own list."""

    kind: str
    chain_id: bytes
    content: Content
    transactions: Sequence[Transaction]
    me: bytes
    names: Mapping[bytes, str]

    def name(self, key: bytes) -> str:
        return self.names.get(key, "this node")


@dataclass(frozen=True)
class Findings:
    """What comparing gave: all lists, the differences in the order of execution, and what stands
    behind the first one's entries."""

    lists: Mapping[bytes, Outcomes]
    differences: Sequence[Difference]
    details: Mapping[Entry, Detail]
    certified: bytes | None = None
    voted: Mapping[bytes, bytes] = field(default_factory=dict)
    not_counted: tuple[bytes, ...] = ()
    held_out: tuple[bytes, ...] = ()
    problem: str = ""


def report_of(case: Case, findings: Findings) -> dict[str, Any]:
    """The whole report."""
    content = case.content
    found = findings.differences
    return {
        "format": "hansa-divergence/1",
        "kind": case.kind,
        "chain_id": case.chain_id.hex(),
        "height": content.height,
        "content": content.digest.hex(),
        "time_ms": content.time_ms,
        "transactions": len(content.wire_ids),
        "this_node": case.name(case.me),
        "certified": None if findings.certified is None else findings.certified.hex(),
        "problem": findings.problem,
        "outcomes": _outcomes(case, findings),
        "first": _first(case, found[0], findings.details) if found else None,
        "differing": len(found),
        "others": [_place(case, one.index) for one in found[1 : OTHERS_MAX + 1]],
        "held_out": [tx_id.hex() for tx_id in findings.held_out],
        "lists": [
            {
                "validator": case.name(key),
                "key": one.sender.hex(),
                "block": one.block_hash.hex(),
                "lists_hash": one.lists_hash.hex(),
                "signature": one.signature.hex(),
            }
            for key, one in sorted(findings.lists.items())
        ],
        "not_counted": [case.name(key) for key in findings.not_counted],
        "no_list_of": sorted(
            name for key, name in case.names.items() if key not in findings.lists and key != case.me
        ),
    }


def sentence_of(report: dict[str, Any]) -> str:
    """What the report comes to, in one sentence."""
    if report["problem"]:
        return f"this node refuses what a quorum certified: {report['problem']}"
    first = report["first"]
    if first is None:
        fields = sorted({name for one in report["outcomes"] for name in one["header_differs"]})
        where = f"; the headers differ in {', '.join(fields)}" if fields else ""
        return f"no list tells which transaction differs{where}"
    by_itself = first["wire_id"] is None
    what = "a due call or activation" if by_itself else f"transaction {first['tx_id']}"
    calls = f" ({', '.join(first['calls'])})" if first["calls"] else ""
    sentence = f"{what}{calls} is the first that validators disagree on"
    if first["key"] is not None:
        key = first["key"]
        held = " and ".join(
            f"{one['value_hash'] or 'nothing'} at {', '.join(one['validators'])}"
            for one in first["results"]
            if one["known"]
        )
        return f"{sentence}: key {key['contract']}.{key['map']} {key['parts']} gets {held}"
    if first["receipt_differs"]:
        return f"{sentence}: its receipts differ in {', '.join(first['receipt_differs'])}"
    return sentence


def _outcomes(case: Case, findings: Findings) -> list[dict[str, Any]]:
    """Which validators hold which outcome, by list or by vote, and what their headers differ in."""
    holders: dict[bytes, list[str]] = {}
    headers: dict[bytes, Header] = {}
    for key, one in findings.lists.items():
        holders.setdefault(one.block_hash, []).append(case.name(key))
        headers[one.block_hash] = one.header
    for key, block_hash in findings.voted.items():
        if key not in findings.lists:
            holders.setdefault(block_hash, []).append(case.name(key))
    views = {block_hash: header.to_json() for block_hash, header in headers.items()}
    differing = [
        name for name, _ in Header.kinds() if len({str(view[name]) for view in views.values()}) > 1
    ]
    return [
        {
            "block": block_hash.hex(),
            "validators": sorted(names),
            "header_differs": {name: views[block_hash][name] for name in differing}
            if block_hash in views
            else {},
        }
        for block_hash, names in sorted(holders.items(), key=lambda one: (-len(one[1]), one[0]))
    ]


def _place(case: Case, index: int) -> dict[str, Any]:
    """Which transaction it is and what it calls."""
    count = len(case.content.wire_ids)
    if index >= count:
        return {"index": index, "wire_id": None, "tx_id": None, "sender": None, "calls": []}
    found: dict[str, Any] = {
        "index": index,
        "wire_id": case.content.wire_ids[index].hex(),
        "tx_id": None,
        "sender": None,
        "calls": [],
    }
    if index < len(case.transactions):
        tx = case.transactions[index]
        found["tx_id"] = tx.tx_id.hex()
        found["sender"] = tx.body.sender.hex()
        found["calls"] = [f"{call.contract}.{call.method}" for call in tx.body.calls]
    return found


def _first(case: Case, one: Difference, details: Mapping[Entry, Detail]) -> dict[str, Any]:
    """The first difference whole: both receipts, and the first key in key order."""
    known = [details[entry] for entry, _ in one.holders if entry in details]
    told = [detail.writes for detail in known if detail.writes is not None]
    writes = [{write.key: write for write in one} for one in told]
    keys = sorted({key for written in writes for key in written})
    differing = [key for key in keys if len({w[key].hash if key in w else b"" for w in writes}) > 1]
    key = differing[0] if differing else None
    tx = case.transactions[one.index] if one.index < len(case.transactions) else None
    place = _place(case, one.index)
    if one.index >= len(case.content.wire_ids):
        place["calls"] = _ran_by_itself([detail.receipt for detail in known])
    contracts = {call.split(".")[0] for call in place["calls"]}
    contracts |= {_readable_key(touched)["contract"] for touched in differing}
    results = []
    for entry, holders in one.holders:
        detail = details.get(entry)
        write = None
        if detail is not None and key is not None:
            write = next((w for w in detail.writes or () if w.key == key), None)
        results.append(
            {
                "validators": sorted(case.name(holder) for holder in holders),
                "known": detail is not None,
                "receipt": None if detail is None else detail.receipt.to_json(),
                "value_hash": None if write is None or write.hash is None else write.hash.hex(),
                "written": write is not None,
                "value": None if write is None else _readable_value(write.value),
            }
        )
    return {
        **place,
        "body": None if tx is None else tx.raw.hex(),
        "contracts": sorted(contracts),
        "receipt_differs": _differing_fields([detail.receipt for detail in known]),
        "key": None if key is None else _readable_key(key, tx),
        "keys_differing": len(differing),
        # Where others keep no writes any more, the key is among those written here.
        "keys_written": []
        if len(told) == len(known)
        else [_readable_key(key, tx) for key in keys[:OTHERS_MAX]],
        "results": results,
    }


def _ran_by_itself(receipts: Sequence[Receipt]) -> list[str]:
    """What a due call or an activation called: its receipt's result names it."""
    names = [receipt.result for receipt in receipts if type(receipt.result) is list]
    # Some of them may be a liar's.
    return sorted({".".join(name) for name in names if list(map(type, name)) == [str, str]})


def _differing_fields(receipts: Sequence[Receipt]) -> list[str]:
    views = [receipt.to_json() for receipt in receipts]
    return [name for name in _COMPARED if any(view[name] != views[0][name] for view in views)]


def _readable_key(key: bytes, tx: Transaction | None = None) -> dict[str, Any]:
    """A state key's contract, map and parts. A part that stands there as its hash is shown as the
    argument of ``tx`` that it is the hash of, if it is one."""
    try:
        contract, name, parts = decode_key(key)
    except InputError:
        return {"contract": "", "map": "", "parts": [], "hex": key.hex()}
    named: dict[bytes, Any] = {}
    if tx is not None and any(isinstance(part, Digest) for part in parts):
        _digests([tx.body.sender, *(call.args for call in tx.body.calls)], named)
    return {
        "contract": contract,
        "map": name,
        "parts": [_readable_part(part, named) for part in parts],
        "hex": key.hex(),
    }


def _digests(value: Any, found: dict[bytes, Any]) -> None:
    """Key digest -> value, for all values within arguments that can be a part of a key."""
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            _digests(one, found)
    elif type(value) in (str, bytes, int):
        with suppress(InputError):
            found[digest_part(value).value] = value


def _readable_part(part: Any, named: Mapping[bytes, Any]) -> Any:
    if isinstance(part, Digest):
        known = named.get(part.value)
        return {"sha256": part.value.hex()} if known is None else _readable_part(known, named)
    if isinstance(part, tuple):
        return [_readable_part(one, named) for one in part]
    return {"hex": part.hex()} if isinstance(part, bytes) else part


def _readable_value(raw: bytes | None) -> Any:
    """A value that a detail shows; None where it is too long, or deleted."""
    if raw is None:
        return None
    try:
        return data_to_json(decode(raw, bytes_max=len(raw)))
    except CodecError:
        return {"hex": raw.hex()}
