"""Random histories of parties, institutions and lists, against a model of its own."""

from __future__ import annotations

import copy
import os
from functools import cache
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from contracts.sdk.dates import date_of
from contracts.sdk.testkit import DAY_MS, Refused, Testkit

PARTIES = ("trader", "grocer")
INSTITUTIONS = {"bank": ("bank one", "bank two"), "rival": ("rival one", "rival two")}
OFFICERS = {officer: bank for bank, both in INSTITUTIONS.items() for officer in both}
WHO = st.sampled_from((*OFFICERS, *OFFICERS, "clerk", "impostor", "trader"))
PARTY = st.sampled_from(PARTIES)


@cache
def _world() -> Testkit:
    kit = Testkit.of(builtin=("identity", "vault", "compliance"))
    for name in INSTITUTIONS:
        kit.organisation(name, roles=("bank",))
    for name in PARTIES:
        kit.organisation(name, roles=("wholesaler",))
    kit.organisation("regulator", roles=("regulator",))
    for officer, bank in OFFICERS.items():
        kit.key(officer, bank, ("compliance_officer",), user=officer.replace(" ", "-"))
    kit.key("clerk", "bank", ("bank_officer",), user="clerk")
    kit.key("impostor", "trader", ("compliance_officer",), user="impostor")
    return kit


class Histories(RuleBasedStateMachine):
    """The model: of each file its standing, who decided, and until when a review is not due."""

    def __init__(self) -> None:
        super().__init__()
        kit = self.kit = copy.copy(_world())
        state = kit._state = copy.copy(kit._state)
        for of in (kit, state):
            for name, value in vars(of).items():
                if isinstance(value, dict | list):
                    setattr(of, name, value.copy())
        kit.registry.on_fault = kit._keep_fault
        self.files: dict[tuple[str, str], dict[str, Any]] = {}
        self.edition, self.editions_at = 0, list[int]()
        self.strict, self.days = False, 30

    def send(self, who: str, method: str, **args: Any) -> str:
        """The code; what is refused changes nothing."""
        root = self.kit.root
        try:
            self.kit.as_(who).call("compliance", method, **args)
        except Refused as error:
            assert error.code != "CONTRACT_FAULT"
            assert self.kit.root == root, "a refused call changed something"
            return error.code
        return "OK"

    def cited(self, edition: int) -> list[dict[str, Any]]:
        return [{"name": "SDN", "digest": edition.to_bytes(32, "big")}]

    # --- what may happen ------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        self.announce("regulator")

    @rule(who=st.sampled_from(("regulator", "regulator", "bank one", "trader")))
    def announce(self, who: str) -> None:
        edition = self.edition + 1
        digest = edition.to_bytes(32, "big")
        code = self.send(who, "announce_list", name="SDN", published=20260501, digest=digest)
        assert code == ("OK" if who == "regulator" else "NOT_AUTHORISED")
        if code == "OK":
            self.edition = edition
            self.editions_at.append(self.kit.blocks[-1].context.time_ms)

    @rule(strict=st.booleans(), days=st.integers(1, 5), who=st.sampled_from(("regulator", "bank")))
    def set_policy(self, strict: bool, days: int, who: str) -> None:
        code = self.send(who, "set_policy", verification_required=strict, rescreen_days=days)
        assert code == ("OK" if who == "regulator" else "NOT_AUTHORISED")
        if code == "OK":
            self.strict, self.days = strict, days

    @rule(party=PARTY, bank=st.sampled_from((*INSTITUTIONS, "trader", "grocer")))
    def apply(self, party: str, bank: str) -> None:
        dossier = self.kit.commit("papers").commitment
        code = self.send(party, "apply", institution=self.kit.id(bank), dossier=dossier)
        if bank in INSTITUTIONS:
            assert code == "OK"
            now = self.kit.blocks[-1].context.time_ms
            self.files.setdefault((party, bank), {"standing": "PENDING", "since": now})
        else:
            assert code == ("OWN_ORGANISATION" if bank == party else "NOT_AN_INSTITUTION")

    @rule(who=WHO, party=PARTY, standing=st.sampled_from(("VERIFIED", "HELD")),
          old=st.integers(0, 9), days=st.integers(0, 6))  # fmt: skip
    def decide(self, who: str, party: str, standing: str, old: int, days: int) -> None:
        edition = self.edition - (old == 0)
        review_on = date_of(self.kit.time_ms + days * DAY_MS)
        assessment = self.kit.commit("grounds").commitment
        code = self.send(
            who, "decide", party=self.kit.id(party), standing=standing, lists=self.cited(edition),
            assessment=assessment, review_on=review_on, regulators=[self.kit.id("regulator")],
        )  # fmt: skip
        now = self.kit.blocks[-1].context.time_ms
        bank = OFFICERS.get(who, "")
        before = self.files.get((party, bank), {})
        lifts = (before.get("standing"), standing) == ("HELD", "VERIFIED")
        allowed = (
            bool(bank)
            and old != 0
            and review_on > date_of(now)
            and not (lifts and before["officer"] == who)
        )
        assert (code == "OK") == allowed, code
        if allowed:
            file = {"standing": standing, "officer": who, "review_on": review_on}
            stays = before.get("standing") == standing
            file["since"] = before["since"] if stays else now
            waits = before.get("waits", False) if stays else True
            self.files[party, bank] = file | {
                "edition": self.edition, "waits": standing == "HELD" and waits,
            }  # fmt: skip

    @rule(who=WHO, party=PARTY)
    def follow_up(self, who: str, party: str) -> None:
        text = self.kit.commit("done").commitment
        code = self.send(who, "follow_up", party=self.kit.id(party), text=text)
        file = self.files.get((party, OFFICERS.get(who, "")), {})
        assert (code == "OK") == (file.get("standing") == "HELD")
        if code == "OK":
            file["waits"] = False

    @rule(hours=st.integers(1, 100))
    def wait(self, hours: int) -> None:
        self.kit.advance(hours=hours)

    # --- what holds -----------------------------------------------------------------------------

    def now(self, file: dict[str, Any]) -> str:
        """A file's standing, by the model."""
        standing: str = file["standing"]
        if standing != "VERIFIED":
            return standing
        time_ms = self.kit._context.time_ms
        newer = self.editions_at[file["edition"] :][:1]
        rescreened_late = any(at + self.days * DAY_MS <= time_ms for at in newer)
        return (
            "REVIEW_DUE" if file["review_on"] <= date_of(time_ms) or rescreened_late else standing
        )

    @invariant()
    def who_is_held_by_anybody_does_not_deal(self) -> None:
        for party in PARTIES:
            known = {self.now(file) for (one, _), file in self.files.items() if one == party}
            deals = "HELD" not in known and ("VERIFIED" in known or not self.strict)
            asked = self.kit.query("compliance", "may_deal", organisation=self.kit.id(party))
            assert asked == deals, (party, known)

    @invariant()
    def every_open_file_is_its_institution_s_task_and_no_other(self) -> None:
        for bank in INSTITUTIONS:
            found = self.kit.query("compliance", "tasks", organisation=self.kit.id(bank))["tasks"]
            wanted = set[tuple[str, str, int]]()
            for (party, one), file in self.files.items():
                state = self.now(file)
                if one == bank and state in ("PENDING", "REVIEW_DUE"):
                    wanted.add(("decide", self.kit.id(party), file["since"]))
                elif one == bank and state == "HELD" and file["waits"]:
                    wanted.add(("follow_up", self.kit.id(party), file["since"]))
            rows = {(row["method"], row["args"]["party"], row["since"]) for row in found}
            assert rows == wanted


# 150 of 100 are some 14,000 calls.
_EXAMPLES, _STEPS = {"nightly": (150, 100), "ci": (10, 50)}.get(
    os.environ.get("HYPOTHESIS_PROFILE", ""), (10, 40)
)
TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=_EXAMPLES, stateful_step_count=_STEPS, deadline=None)
