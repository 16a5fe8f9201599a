"""The same blocks under different hash seeds: the same receipts, steps and state."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = """
import hashlib
from cli.demo import checked_events
from cli.epcis.capturing import capture_of
from cli.sample_trade import load_sample_trade
from consensus.primitives.crypto import public_key
from contracts.runtime.registry import builtin_registry
from tests.contracts.ledger import Ledger, seed_of

trade = load_sample_trade()
organisations = [
    {"id": o.id, "name": o.name, "roles": list(o.roles), "admin_key": public_key(seed_of(o.id))}
    for o in trade.organisations
]
ledger = Ledger(builtin_registry(), {"identity": {"organisations": organisations}})
seen = hashlib.sha256()
for _ in range(2):  # the second time everything is refused
    for document in trade.documents:
        for event in checked_events(document):
            call = capture_of(event, lambda _gln: True).call
            call.args["document"] = bytes(32)  # else a commitment with a new salt each time
            seen.update(ledger.block(ledger.tx(seed_of(document.signer), call))[0].raw)
for key, value in ledger.state.values.items():
    seen.update(key + value)
print(seen.hexdigest(), builtin_registry().digest.hex())
"""


def test_hash_order_changes_nothing() -> None:
    outputs = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(outputs) == 1 and len(outputs.pop().split()[0]) == 64


def test_no_pattern_asks_the_unicode_tables() -> None:
    """They differ between Python versions: \\d, \\w, \\s and \\b are for ASCII or not at all."""
    seen = 0
    for folder in ("consensus", "contracts"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not (isinstance(node, ast.Call) and ast.unparse(node.func).startswith("re.")):
                    continue
                seen += 1
                text = ast.unparse(node)
                assert "re.ASCII" in text or not re.search(r"\\[dwsbDWSB]", text), (path, text)
                assert "IGNORECASE" not in text, (path, text)
    assert seen > 10
