"""docs/errors.md names every error code of the sources, and no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("cli", "consensus", "contracts", "genesis", "node", "p2p")
CODE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
WORD = re.compile(r"[A-Z]{4,}")
RAISERS = {
    "CodecError", "ContractError", "ContentRefused", "HansaError", "InputError", "LocalFault",
    "PeerFault", "PeerUnavailable", "TxRejected", "__init__", "_Broken", "_error", "_refuse",
    "print_error", "refuse",
}  # fmt: skip
ENVIRONMENT = ("HANSA_", "XDG_")
STATES = {
    "ADDS_UP", "DOES_NOT", "FEE_DUE", "FEE_TOO_HIGH", "HALF_EVEN", "IN_TRANSIT",
    "PARTIALLY_RELEASED", "REPLACED_BY_PAPER", "REVIEW_DUE", "TAKEN_BACK",
    "ACCEPT_IN_PART", "NOT_ALLOWED", "UNIT_PRICE", "DEFERRED_PAYMENT", "MIXED_PAYMENT",
    "AIR_WAYBILL", "BILL_OF_LADING", "CHARTER_PARTY_BILL", "COVER_NOTE", "PACKING_LIST",
    "SEA_WAYBILL", "CREDIT_NOTE", "SAME_AMOUNT", "SAME_NUMBER", "NEVER_RECEIVED",
}  # of things, parties, credits and escrows, verdicts, answers, ways of rounding  # fmt: skip


def codes_in(source: str) -> Iterator[str]:
    """Text literals that look like codes: of several words anywhere but among the words of a
    field (``Choice``), of one word in a raise."""
    tree = ast.parse(source)
    words = {
        id(one)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Choice"
        for one in node.args
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) in words:
                continue
            if CODE.fullmatch(node.value) and not node.value.startswith(ENVIRONMENT):
                yield node.value
        elif isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            for given in node.args[:2]:  # _error takes a status or key before it
                code = getattr(given, "value", None)
                if name in RAISERS and isinstance(code, str) and WORD.fullmatch(code):
                    yield code


def test_every_code_is_documented_and_every_documented_code_exists() -> None:
    text = (ROOT / "docs" / "errors.md").read_text()
    lines = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    documented = {code for cell in lines for code in re.findall(r"`([A-Z0-9_]+)`", cell)}
    found = {
        code
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        for code in codes_in(path.read_text())
    } - STATES
    assert len(found) > 200
    assert sorted(found - documented) == [], "missing in docs/errors.md"
    assert sorted(documented - found - {"ACCEPTED"}) == [], "in docs/errors.md, but nowhere else"


def test_the_collector_sees_the_ways_in_which_codes_are_given() -> None:
    source = (
        'raise InputError("ALONE", f"x")\nrefuse("TWO_WORDS", "")\nT = {"IN_TABLE": 1, "NO": 2}'
    )
    assert set(codes_in(source)) == {"ALONE", "TWO_WORDS", "IN_TABLE"}
