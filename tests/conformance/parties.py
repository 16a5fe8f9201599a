"""Every method of the compliance contract, called with success somewhere; and some refusals."""

from __future__ import annotations

from typing import Any, Protocol

from consensus.primitives.crypto import sha256
from contracts.sdk.dates import date_of
from contracts.sdk.testkit import DAY_MS, Testkit

LIST = "OFAC-SDN"


class Scenario(Protocol):
    """What the conformance scenario offers."""

    kit: Testkit

    def call(self, who: str, contract: str, method: str, /, **args: Any) -> Any: ...
    def ask(self, contract: str, method: str, /, **args: Any) -> Any: ...
    def check(self, contract: str, method: str, openings: Any = None, /, **args: Any) -> Any: ...
    def pass_time(self, what: str, **time: int) -> None: ...


def parties(scenario: Scenario) -> None:
    """A party that is verified, held, followed up and freed; a check of each decision's grounds."""
    kit = scenario.kit
    kit.organisation("house", ("bank",))
    for name in ("first_officer", "second_officer"):
        kit.key(name, "house", ("compliance_officer",), user=name.replace("_", "-"))
    kit.key("supervisor", "regulator", ("regulator",), user="supervisor")
    party, bank, regulator = kit.id("wholesaler"), kit.id("house"), kit.id("regulator")
    of = {"party": party, "institution": bank}

    def call(who: str, method: str, /, **args: Any) -> Any:
        return scenario.call(who, "compliance", method, **args)

    def announce(edition: int, published: int) -> list[dict[str, Any]]:
        digest = sha256(b"edition %d" % edition)
        call("regulator", "announce_list", name=LIST, published=published, digest=digest)
        return [{"name": LIST, "digest": digest}]

    def decide(who: str, standing: str, cited: list[dict[str, Any]], **more: Any) -> Any:
        grounds = {
            "party": party, "name": "Carolina Coffee Roasters", "algorithm": "exact",
            "threshold": 85, "lists": cited, "hits": [], "shares": [], "listed_owners": [],
            "factors": [{"name": "country", "points": 10}, {"name": "known", "points": -5}],
            "score": 5, "decision": "CLEAR" if standing == "VERIFIED" else "BLOCK",
        }  # fmt: skip
        assessment = kit.commit(grounds | more).commitment
        return call(who, "decide", party=party, standing=standing, lists=cited,
                    assessment=assessment, review_on=date_of(kit.time_ms + 60 * DAY_MS),
                    regulators=[regulator])  # fmt: skip

    call("consortium", "set_policy", verification_required=True, rescreen_days=3)
    first = announce(1, 20260501)
    announce(1, 20260502)
    announce(2, 20300101)
    for institution in (party, bank):
        call("wholesaler", "apply", institution=institution, dossier=kit.commit("x").commitment)
    scenario.ask("compliance", "tasks", organisation=bank)
    circle = [
        {"owner": "A", "owned": "B", "basis_points": 6_000},
        {"owner": "B", "owned": "A", "basis_points": 1_000},
        {"owner": "B", "owned": "Carolina Coffee Roasters", "basis_points": 2_500},
        {"owner": "L", "owned": "Carolina Coffee Roasters", "basis_points": 2_500},
        {"owner": "L", "owned": "A", "basis_points": 5_000},
    ]
    hit = {"list_name": LIST, "entry": "36", "name": "CAROLINA COFFEE", "score": 91}
    for more in (
        {}, {"score": 6}, {"decision": "REVIEW"}, {"party": bank}, {"hits": [hit]},
        {"shares": circle, "listed_owners": ["L"]},
        {"shares": [circle[0], circle[0]], "listed_owners": ["L"]},
    ):  # fmt: skip
        number = decide("first_officer", "VERIFIED", first, **more)
        verdict = scenario.check("compliance", "supported", number=number, **of)
        if verdict is not None:
            for who in ("first_officer", "supervisor"):
                findings = kit.commit(verdict["findings"]).commitment
                call(who, "reviewed", number=number, verdict=verdict["code"], findings=findings,
                     **of)  # fmt: skip
    decide("wholesaler", "VERIFIED", first)
    second = announce(2, 20260502)
    decide("first_officer", "VERIFIED", first)
    scenario.pass_time("rescreening", days=4)
    for organisation in (party, bank, kit.id("maker")):
        scenario.ask("compliance", "may_deal", organisation=organisation)
        scenario.ask("compliance", "tasks", organisation=organisation)
    decide("first_officer", "HELD", second)
    scenario.ask("compliance", "tasks", organisation=bank)
    call("first_officer", "follow_up", party=party, text=kit.commit("asked for papers").commitment)
    decide("first_officer", "VERIFIED", second)
    decide("second_officer", "VERIFIED", second)
    scenario.ask("compliance", "party", id=party)
    scenario.ask("compliance", "decisions_of", **of)
    scenario.ask("compliance", "lists_in_force")
    call("consortium", "set_policy", verification_required=False, rescreen_days=30)
