"""`hansa credit`: terms, documents and messages as files, onto a ledger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cli.network import Network
from consensus.primitives.crypto import sha256
from tests.cli.mt_samples import sample
from tests.cli.support import Hansa, Outcome

SELLER, BUYER, BANK = "9521321000018", "9521432000013", "9521543000018"
OFFICE = "9521654000013"
TERMS: dict[str, Any] = {
    "reference": "DC-1", "applicant": "Baltic", "beneficiary": "Lindenau",
    "amount": "1000.00 EUR", "expiry": "2090-01-31", "expiry_place": "Riga",
    "available_with": "Riga Bank", "available_by": "PAYMENT", "goods": "Tablets",
    "documents": [{"type": "INVOICE"}],
}  # fmt: skip


class World:
    """The sample companies; the pharmacy is a bank here, with two persons."""

    def __init__(self, hansa: Hansa, network: Network) -> None:
        self.hansa = hansa
        self.keys = {
            "seller": network.organisation_key(SELLER), "buyer": network.organisation_key(BUYER),
            "bank": network.organisation_key(BANK), "office": network.organisation_key(OFFICE),
        }  # fmt: skip
        roles = 'roles=["bank"]'
        self.ok("office", "call", "identity", "set_organisation_roles", f"id={BANK}", roles)
        for person, given in (("officer", ["bank_officer"]), ("manager", ["bank_admin"])):
            key = network.folder / "organisations" / f"{person}.key.json"
            hansa("keys", "new", key)
            self.keys[person] = key
            public = hansa("keys", "export", key).out.strip()
            self.ok("bank", "call", "identity", "add_user", f"id={person}", f"name={person}")
            self.ok("bank", "call", "identity", "add_key", f"key={public}", f"label={person}",
                    f"roles={json.dumps(given)}", f"user={person}")  # fmt: skip

    def run(self, who: str, *words: object) -> Outcome:
        return self.hansa(*words, "--key", self.keys[who], "--json")

    def ok(self, who: str, *words: object) -> Any:
        outcome = self.run(who, *words)
        assert outcome.code == 0, outcome.err + outcome.out
        return outcome.json

    def call(self, who: str, method: str, **args: object) -> Any:
        words = [f"{name}={value}" for name, value in args.items()]
        return self.ok(who, "call", "credit", method, *words)

    def applied(self, file: str) -> int:
        number: int = self.ok("buyer", "credit", "apply", file, "--issuer", BANK,
                              "--beneficiary", SELLER)["credit"]  # fmt: skip
        return number

    def advised(self, file: str) -> int:
        number = self.applied(file)
        self.call("officer", "propose", number=number)
        self.call("manager", "issue", number=number, verdict="READY", findings="[]")
        self.call("officer", "advise", number=number)
        return number

    def export(self, number: int, kind: str, *more: object) -> str:
        told = self.hansa("credit", "export", number, "--mt", kind, "--sender", "BANKBEBB",
                          "--receiver", "BANKDEFF", "--key", self.keys["buyer"], *more)  # fmt: skip
        assert told.code == 0, told.err
        return told.out


def test_credits_as_files_and_messages(hansa: Hansa, network: Network, url: str) -> None:
    """On one ledger, which takes longer to make than all the rest."""
    world = World(hansa, network)
    from_files(world)
    by_messages(world)
    what_is_wrong_with_a_file_is_said(world)


def written(name: str, value: Any) -> str:
    Path(name).write_text(json.dumps(value))
    return name


def from_files(world: World) -> None:
    number = world.advised(written("terms.json", TERMS))
    amendment = world.ok("officer", "credit", "amend", number,
                         written("more.json", {"increase": "10.00 EUR"}))["amendment"]  # fmt: skip
    world.call("manager", "issue_amendment", number=number, amendment=amendment, verdict="READY",
               findings="[]")  # fmt: skip
    world.call("seller", "decide", number=number, amendment=amendment, decision="ACCEPT")
    Path("invoice.pdf").write_bytes(b"%PDF invoice")
    presented = {
        "drawing": {"amount": "400.00 EUR"},
        "documents": [{"type": "INVOICE", "file": "invoice.pdf", "amount": "400.00 EUR"}],
    }
    told = world.ok("seller", "credit", "present", number, written("documents.json", presented),
                    "--bank", BANK)  # fmt: skip
    assert told["presentation"] == 1 and told["bank_has_until"]
    shown = world.ok("buyer", "credit", "show", number, "--open")
    assert shown["credit"]["state"] == "ADVISED"
    assert shown["terms"]["amount"] == {"minor": 101_000, "currency": "EUR"}
    (row,) = shown["presentations"]
    assert row["presentation"]["state"] == "PRESENTED" and row["left"] in (5, 6)
    text = world.hansa("credit", "show", number, "--key", world.keys["buyer"]).out
    assert "PRESENTED" in text and "ACCEPTED" in text and "1000.00" not in text
    digests = [one["digest"] for one in opened(world) if "digest" in one]
    assert digests == [{"hex": sha256(b"%PDF invoice").hex()}]


def opened(world: World) -> list[dict[str, Any]]:
    """Every value that an opening is kept of."""
    folder = world.keys["seller"].parent / "openings"
    files = [json.loads(file.read_text()) for file in folder.glob("*.json")]
    values = [one["value"] for file in files for one in file["openings"]]
    return [one for one in values if isinstance(one, dict)]


def by_messages(world: World) -> None:
    """MT700 and MT707 in and out, a refusal by MT734."""
    message = sample("700", f31D="790630FRANKFURT", f44C="790531")
    Path("credit.fin").write_bytes(message.to_bytes())
    number = world.advised("credit.fin")
    again = world.export(number, "700")
    assert again.split("{4:")[1].strip() == message.to_bytes().decode().split("{4:")[1].strip()
    change = sample(
        "707", f31D="790731FRANKFURT", f44C="790630", f46B="/ADD/+ CERTIFICATE OF ORIGIN"
    )
    Path("change.fin").write_bytes(change.to_bytes())
    amendment = world.ok("officer", "credit", "amend", number, "change.fin")["amendment"]
    assert ":32B:USD10000,5" in world.export(number, "707", "--amendment", amendment)
    world.call("manager", "issue_amendment", number=number, amendment=amendment, verdict="READY",
               findings="[]")  # fmt: skip
    world.call("seller", "decide", number=number, amendment=amendment, decision="ACCEPT")
    assert "CERTIFICATE OF ORIGIN" in world.export(number, "700")
    assert ":52A:BANKBEBB" in world.export(number, "710", "--issuing-bank", "BANKBEBB")
    presented = {
        "drawing": {"amount": "75000.00 USD", "reference": "PRES-1"},
        "documents": [{"type": "INVOICE", "digest": {"hex": "00" * 32}}],
    }
    world.ok("seller", "credit", "present", number, written("documents.json", presented),
             "--bank", BANK)  # fmt: skip
    Path("refusal.fin").write_bytes(sample("734").to_bytes())
    told = world.ok("officer", "credit", "notice", number, 1, "refusal.fin")
    assert (told["state"], told["fate"], told["discrepancies"]) == ("REFUSED", "NOTIFY", 2)
    out = world.export(number, "734", "--presentation", 1)
    assert "+ LATE PRESENTATION" in out and ":77B:/NOTIFY/" in out and "PRES-1" in out
    for kind in ("750", "752"):
        assert "USD75000," in world.export(number, kind, "--presentation", 1)


def what_is_wrong_with_a_file_is_said(world: World) -> None:
    cases: list[tuple[str, Any, str]] = [
        ("apply", {**TERMS, "amount": "1 EURO"}, "BAD_ARGUMENT"),
        ("apply", {"reference": "x"}, "BAD_ARGUMENT"),
        ("apply", [], "MT_JSON"),
        ("apply", "{1:nonsense", "MT_INVALID"),
        ("apply", sample("707").to_bytes().decode(), "MT_NO_TERMS"),
        ("apply", "no json", "MT_JSON"),
    ]
    for command, value, code in cases:
        text = value if isinstance(value, str) else json.dumps(value)
        Path("file").write_text(text)
        found = world.run("buyer", "credit", command, "file", "--issuer", BANK, "--beneficiary",
                          SELLER)  # fmt: skip
        assert found.error == code, found.err
    number = world.advised(written("terms.json", TERMS))
    found = world.run("seller", "credit", "present", number, written("d.json", {}), "--bank", BANK)
    assert found.error == "BAD_DOCUMENTS"
    found = world.run("seller", "credit", "notice", number, 1, "terms.json")
    assert found.error == "MT_NO_TERMS"
    found = world.run("buyer", "credit", "export", number, "--mt", "734", "--sender", "BANKBEBB",
                      "--receiver", "BANKDEFF")  # fmt: skip
    assert found.error == "NOT_FOUND"
