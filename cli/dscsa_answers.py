"""Answers to requests for transaction information: what the asked sends, and the asker checks.

An answer is a JSON file with the openings of the commitments that stand on the chain. It goes from
one company to the other; on the chain is its SHA-256. Who receives it finds out here whether each
opening is of its commitment, and whether it says what the chain says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from consensus.primitives.crypto import sha256
from consensus.primitives.errors import InputError
from contracts.sdk.commitments import opens
from contracts.sdk.dates import date_text
from contracts.sdk.errors import BadValue
from contracts.sdk.fields import field_of
from contracts.supply.dscsa_records import TransactionInformation

FORMAT: Final = "hansa-dscsa-answer/1"
ANSWER_BYTES_MAX: Final = 16 << 20
ASSERTIONS: Final = {
    "AUTHORISED": "is authorised as the DSCSA requires",
    "SOURCE": "received the product from a person that is authorised as the DSCSA requires",
    "INFORMATION": "received transaction information and a transaction statement from the"
    " prior owner, as required under section 582",
    "LEGITIMATE": "did not knowingly ship a suspect or illegitimate product",
    "SYSTEMS": "had systems and processes in place to comply with the verification requirements"
    " of section 582",
    "TRUE": "did not knowingly provide false transaction information",
    "UNALTERED": "did not knowingly alter the transaction history",
}
"""What each assertion of a transaction statement says: FD&C Act 581(27)(A) to (G)."""


def kept_openings(folder: Path) -> Iterator[dict[str, Any]]:
    """All openings of transaction information that are kept in a folder, own ones and answers'."""
    for file in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        try:
            value = json.loads(file.read_bytes())
        except ValueError:
            continue
        if not isinstance(value, dict):
            continue
        if value.get("format") == FORMAT:
            yield from (one["opening"] for one in value["transactions"] if one["opening"])
        else:
            found = value.get("openings", ())
            yield from (one for one in found if one.get("argument") == "information")


def make_answer(
    request: int, item: str, records: Mapping[int, dict[str, Any]], folder: Path
) -> tuple[dict[str, Any], list[int]]:
    """The answer to a request with these transactions, and those that no opening is here of."""
    known = {one["commitment"]: one for one in kept_openings(folder)}
    rows: list[dict[str, Any]] = []
    missing = []
    for number, record in records.items():
        commitment = record["information"]
        found = known.get(commitment.hex()) if commitment else None
        if found is None and commitment:
            missing.append(number)
        opening = found and {name: found[name] for name in ("commitment", "salt", "value")}
        rows.append({"transaction": number, "opening": opening})
    answer = {"format": FORMAT, "request": request, "item": item, "transactions": rows}
    return answer, missing


def answer_bytes(answer: Mapping[str, Any]) -> bytes:
    return (json.dumps(answer, indent=2, ensure_ascii=False) + "\n").encode()


def check_answer(raw: bytes, report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For each transaction that the chain names, whether the answer opens it and fits.

    ``code`` is OK, or what is wrong: NOT_OPENED, OPENING_WRONG, INFORMATION_DIFFERS. Raises
    InputError ANSWER_INVALID, or ANSWER_DIFFERS when it is not the file that was answered with.
    """
    openings = _openings_of(raw, report)
    rows = []
    for one in report["transactions"]:
        number, record = one["number"], one["record"]
        if record["information"] is None:
            rows.append({"transaction": number, "code": "OK", "detail": record["exemption"]})
            continue
        opening = openings.get(number)
        if opening is None:
            rows.append({"transaction": number, "code": "NOT_OPENED", "detail": "", "value": None})
            continue
        code, detail, value = _opened(opening, one)
        rows.append({"transaction": number, "code": code, "detail": detail, "value": value})
    return rows


def _openings_of(raw: bytes, report: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    expected = report["request"]["document"]
    if expected is not None and sha256(raw) != expected:
        raise InputError(
            "ANSWER_DIFFERS", "this is not the file that the request was answered with"
        )
    try:
        answer = json.loads(raw)
        if answer["format"] != FORMAT or answer["request"] != report["number"]:
            raise ValueError
        rows = answer["transactions"]
        return {int(one["transaction"]): one["opening"] for one in rows if one["opening"]}
    except (ValueError, TypeError, KeyError, RecursionError):
        raise InputError("ANSWER_INVALID", "no answer to this request") from None


def _opened(opening: Any, one: Mapping[str, Any]) -> tuple[str, str, Any]:
    """Whether an opening is of the commitment, and in what it differs from the chain."""
    try:
        salt, value = bytes.fromhex(opening["salt"]), opening["value"]
        information = field_of(TransactionInformation).check(value)
        if not opens(one["record"]["information"], salt, information):
            raise BadValue("another value or salt was committed to")
    except (BadValue, ValueError, TypeError, KeyError) as error:
        return "OPENING_WRONG", str(error), None
    differs = differences(value, one["record"], one["lines"])
    return ("INFORMATION_DIFFERS" if differs else "OK"), "; ".join(differs), value


def differences(
    information: Mapping[str, Any], record: Mapping[str, Any], lines: list[dict[str, Any]]
) -> list[str]:
    """In what transaction information and the chain's public part contradict each other."""
    found = []
    if _day(information["transaction_date"]) != record["day"]:
        found.append(f"the chain's transaction date is {date_text(record['day'])}")
    stated = information.get("shipment_date")
    if record["shipment_day"] and (stated is None or _day(stated) != record["shipment_day"]):
        found.append(f"the chain's shipment date is {date_text(record['shipment_day'])}")
    lots = {lot for product in information["products"] for lot in product["lots"]}
    codes = {ndc.replace("-", "") for ndc in (p["ndc"] for p in information["products"])}
    for line in lines:
        if line["lot"] and line["lot"] not in lots:
            found.append(f"lot {line['lot']} is not in it")
        ndc = line["item"][6:16]
        if line["item"][4:6] == "03" and ndc not in codes:
            found.append(f"NDC {ndc} is not in it")
    return sorted(set(found))


def _day(value: Any) -> int:
    """A date as the chain has it, however it was written."""
    return int(str(value).replace("-", ""))
