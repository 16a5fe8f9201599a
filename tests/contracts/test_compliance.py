"""Know your customer and sanctions (DOMAIN section 4 and rule 51), rule by rule."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.primitives.crypto import sha256
from contracts.compliance.ownership import HALF, WHOLE, Share, counted_as_listed
from contracts.sdk.dates import date_of
from contracts.sdk.errors import ContractError
from contracts.sdk.testkit import DAY_MS, START_MS, Committed, Refused, Testkit, organisation_id

BANK_ROLES = ("bank",)
NAME = "Carolina Coffee Roasters"
OLD, NEW = sha256(b"SDN, first edition"), sha256(b"SDN, second edition")


def small_world(*, policy: bool = False) -> Testkit:
    """A bank with two officers, a rival bank, two traders of one name, and a regulator."""
    kit = Testkit.of(builtin=("identity", "vault", "compliance"))
    kit.organisation("bank", roles=("bank",))
    kit.organisation("rival bank", roles=("bank",))
    kit.organisation("regulator", roles=("regulator",))
    kit.organisation("exporter", roles=("manufacturer",))
    kit.organisation("namesake", roles=("manufacturer",))
    for name, of in (
        ("officer", "bank"), ("colleague", "bank"), ("rival officer", "rival bank"),
        ("examiner", "regulator"), ("friend", "exporter"),
    ):  # fmt: skip
        roles = ("regulator",) if of == "regulator" else ("compliance_officer",)
        kit.key(name, of, roles, user=name.replace(" ", "-"))
    kit.as_("regulator").call(
        "compliance", "announce_list", name="OFAC-SDN", published=20260501, digest=OLD
    )
    if policy:
        kit.as_("consortium").call(
            "compliance", "set_policy", verification_required=True, rescreen_days=10
        )
    return kit


def grounds(kit: Testkit, party: str, decision: str = "CLEAR", **more: Any) -> dict[str, Any]:
    made = {
        "party": kit.id(party), "name": NAME, "algorithm": "rapidfuzz token_sort_ratio",
        "threshold": 85, "lists": [{"name": "OFAC-SDN", "digest": OLD}], "hits": [], "shares": [],
        "listed_owners": [], "factors": [{"name": "country", "points": 10}], "score": 10,
        "decision": decision,
    }  # fmt: skip
    return made | more


def decide(
    kit: Testkit, name: str, standing: str, by: str = "officer", **more: Any
) -> tuple[int, Committed]:
    default = grounds(kit, name, "CLEAR" if standing == "VERIFIED" else "BLOCK")
    assessment = kit.commit(more.pop("grounds", default))
    args = {
        "party": kit.id(name), "standing": standing, "assessment": assessment.commitment,
        "lists": [{"name": "OFAC-SDN", "digest": OLD}], "regulators": [kit.id("regulator")],
        "review_on": date_of(kit.time_ms + 300 * DAY_MS),
    }  # fmt: skip
    return kit.as_(by).call("compliance", "decide", **(args | more)), assessment


def may_deal(kit: Testkit, party: str) -> bool:
    answer: bool = kit.query("compliance", "may_deal", organisation=kit.id(party))
    return answer


def standing(kit: Testkit, party: str) -> str:
    found: str = kit.query("compliance", "party", id=kit.id(party))["standing"]
    return found


def verdict(kit: Testkit, party: str, number: int) -> dict[str, Any]:
    found: dict[str, Any] = kit.check(
        "compliance", "supported", party=kit.id(party), institution=kit.id("bank"), number=number
    )
    return found


# --- files -------------------------------------------------------------------------------------


def test_a_party_goes_from_pending_to_verified_to_review_due() -> None:
    kit = small_world(policy=True)
    kit.as_("exporter").call(
        "compliance", "apply", institution=kit.id("bank"),
        dossier=kit.commit("articles of association").commitment,
    )  # fmt: skip
    assert (standing(kit, "exporter"), may_deal(kit, "exporter")) == ("PENDING", False)
    decide(kit, "exporter", "VERIFIED", review_on=date_of(kit.time_ms + 30 * DAY_MS))
    assert (standing(kit, "exporter"), may_deal(kit, "exporter")) == ("VERIFIED", True)
    kit.advance(days=29)
    assert standing(kit, "exporter") == "VERIFIED"
    kit.advance(days=1)
    assert (standing(kit, "exporter"), may_deal(kit, "exporter")) == ("REVIEW_DUE", False)
    decide(kit, "exporter", "VERIFIED")
    assert standing(kit, "exporter") == "VERIFIED"
    kit.replay()


def test_without_a_policy_only_holds_keep_from_dealing() -> None:
    kit = small_world()
    assert may_deal(kit, "exporter")
    decide(kit, "exporter", "VERIFIED", review_on=date_of(kit.time_ms + DAY_MS))
    kit.advance(days=2)
    assert (standing(kit, "exporter"), may_deal(kit, "exporter")) == ("REVIEW_DUE", True)
    decide(kit, "exporter", "HELD")
    assert not may_deal(kit, "exporter")


def test_one_institution_s_hold_is_everybody_s() -> None:
    kit = small_world(policy=True)
    decide(kit, "exporter", "HELD")
    decide(kit, "exporter", "VERIFIED", by="rival officer")
    assert (standing(kit, "exporter"), may_deal(kit, "exporter")) == ("HELD", False)
    decide(kit, "exporter", "VERIFIED", by="colleague")
    assert may_deal(kit, "exporter")


def test_a_hold_is_lifted_by_another_person() -> None:
    kit = small_world()
    decide(kit, "exporter", "HELD")
    with pytest.raises(Refused, match="FOUR_EYES"):
        decide(kit, "exporter", "VERIFIED")
    assert not may_deal(kit, "exporter")
    decide(kit, "exporter", "VERIFIED", by="colleague")
    assert may_deal(kit, "exporter")


def test_only_compliance_officers_of_institutions_decide_and_on_others() -> None:
    kit = small_world()
    kit.key("clerk", "bank", ("corporate_user",), user="clerk")
    kit.key("machine", "bank", ("compliance_officer",))
    for by, party, code in (
        ("clerk", "exporter", "NOT_AUTHORISED"),
        ("bank", "exporter", "NOT_AUTHORISED"),
        ("machine", "exporter", "NO_PERSON"),
        ("friend", "namesake", "NOT_AN_INSTITUTION"),
        ("friend", "exporter", "OWN_ORGANISATION"),
        ("officer", "bank", "OWN_ORGANISATION"),
    ):
        with pytest.raises(Refused, match=code):
            decide(kit, party, "HELD", by=by)
    with pytest.raises(Refused, match="UNKNOWN_PARTY"):
        decide(kit, "exporter", "HELD", party=organisation_id(99))
    for institution, code in (("exporter", "OWN_ORG"), ("namesake", "NOT_AN_INSTITUTION")):
        with pytest.raises(Refused, match=code):
            kit.as_("exporter").call(
                "compliance", "apply", institution=kit.id(institution),
                dossier=kit.commit("x").commitment,
            )  # fmt: skip
    assert may_deal(kit, "exporter")


# --- rule 51: screening ------------------------------------------------------------------------


def test_rule_51_a_decision_cites_the_editions_in_force_by_digest() -> None:
    kit = small_world()
    for lists, code in (
        ([{"name": "OFAC-SDN", "digest": NEW}], "OLD_LIST"),
        ([{"name": "EU-CFSP", "digest": OLD}], "OLD_LIST"),  # the one in force is left out
        ([{"name": "OFAC-SDN", "digest": OLD}, {"name": "EU", "digest": OLD}], "UNKNOWN_LIST"),
        ([], "BAD_ARGUMENT"),
    ):
        with pytest.raises(Refused, match=code):
            decide(kit, "exporter", "VERIFIED", lists=lists)
    decide(kit, "exporter", "VERIFIED")
    (row,) = kit.query(
        "compliance", "decisions_of", party=kit.id("exporter"), institution=kit.id("bank")
    )
    assert row["decision"]["lists"] == [{"name": "OFAC-SDN", "digest": OLD}]
    assert row["decision"]["key"] == kit.public_key("officer")


def test_rule_51_lists_go_forward_only() -> None:
    kit = small_world()
    announce = {"name": "OFAC-SDN", "published": 20260502, "digest": NEW}
    kit.as_("bank").refused("NOT_AUTHORISED", "compliance", "announce_list", **announce)
    regulator = kit.as_("regulator")
    for more, code in (
        ({"published": 20260430}, "OLD_LIST"), ({"digest": OLD}, "OLD_LIST"),
        ({"published": 20270101}, "FUTURE_TIME"),
    ):  # fmt: skip
        regulator.refused(code, "compliance", "announce_list", **(announce | more))
    regulator.call("compliance", "announce_list", **announce)
    (found,) = kit.query("compliance", "lists_in_force")
    assert (found["digest"], found["published"]) == (NEW, 20260502)


def test_rule_51_a_list_updated_mid_deal_makes_reviews_due() -> None:
    """Who was verified against the older edition deals on for some days, then no more."""
    kit = small_world(policy=True)
    decide(kit, "exporter", "VERIFIED")
    kit.advance(days=20)
    kit.as_("regulator").call(
        "compliance", "announce_list", name="OFAC-SDN", published=20260601, digest=NEW
    )
    kit.advance(days=9)
    assert may_deal(kit, "exporter")
    kit.advance(days=1)
    assert (standing(kit, "exporter"), may_deal(kit, "exporter")) == ("REVIEW_DUE", False)
    with pytest.raises(Refused, match="OLD_LIST"):
        decide(kit, "exporter", "VERIFIED")
    new = [{"name": "OFAC-SDN", "digest": NEW}]
    decide(kit, "exporter", "VERIFIED", lists=new, grounds=grounds(kit, "exporter", lists=new))
    assert may_deal(kit, "exporter")


def test_rule_51_a_party_listed_mid_deal_is_held_at_once() -> None:
    kit = small_world()
    decide(kit, "exporter", "VERIFIED")
    kit.as_("regulator").call(
        "compliance", "announce_list", name="OFAC-SDN", published=20260515, digest=NEW
    )
    assert may_deal(kit, "exporter")
    decide(kit, "exporter", "HELD", lists=[{"name": "OFAC-SDN", "digest": NEW}])
    assert not may_deal(kit, "exporter")


def test_rule_51_a_clearance_is_not_inherited_by_a_namesake() -> None:
    kit = small_world(policy=True)
    hit = {"list_name": "OFAC-SDN", "entry": "36", "name": NAME, "score": 97}
    cleared = grounds(
        kit, "exporter", hits=[hit | {"cleared": "another address and register number"}]
    )
    number, _ = decide(kit, "exporter", "VERIFIED", grounds=cleared)
    assert verdict(kit, "exporter", number)["code"] == "SUPPORTED"
    assert not may_deal(kit, "namesake")
    number, _ = decide(kit, "namesake", "VERIFIED", grounds=cleared)  # the exporter's, once more
    found = verdict(kit, "namesake", number)
    assert found["code"] == "UNSUPPORTED"
    assert "namesake" in found["findings"][0]
    number, _ = decide(kit, "namesake", "VERIFIED", grounds=grounds(kit, "namesake", hits=[hit]))
    assert verdict(kit, "namesake", number) == {
        "code": "UNSUPPORTED", "findings": ["1 hits stand, the first is 36"],
    }  # fmt: skip


def test_rule_51_another_party_finds_what_does_not_bear_the_decision() -> None:
    kit = small_world()
    stake = {"owner": "Listed SA", "owned": NAME, "basis_points": 5_000}
    changes: tuple[tuple[dict[str, Any], str], ...] = (
        ({"score": 11}, "come to 10, not to 11"),
        ({"lists": [{"name": "OFAC-SDN", "digest": NEW}]}, "other lists"),
        ({"decision": "REVIEW"}, "REVIEW does not come to VERIFIED"),
        ({"shares": [stake], "listed_owners": ["Listed SA"]}, "fifty per cent"),
    )
    for change, finding in changes:
        number, _ = decide(kit, "exporter", "VERIFIED", grounds=grounds(kit, "exporter", **change))
        found = verdict(kit, "exporter", number)
        assert found["code"] == "UNSUPPORTED"
        assert any(finding in one for one in found["findings"])


def test_a_review_is_another_person_s_who_may_know() -> None:
    kit = small_world()
    number, _ = decide(kit, "exporter", "VERIFIED")
    found = verdict(kit, "exporter", number)
    assert found == {"code": "SUPPORTED", "findings": []}
    args = {
        "party": kit.id("exporter"), "institution": kit.id("bank"), "number": number,
        "verdict": found["code"], "findings": kit.commit(found["findings"]).commitment,
    }  # fmt: skip
    kit.as_("officer").refused("FOUR_EYES", "compliance", "reviewed", **args)
    for who in ("rival officer", "friend"):
        kit.as_(who).refused("NOT_AUTHORISED", "compliance", "reviewed", **args)
    kit.as_("examiner").call("compliance", "reviewed", **args)
    args["findings"] = kit.commit([]).commitment
    kit.as_("colleague").call("compliance", "reviewed", **args)
    rows = kit.query(
        "compliance", "decisions_of", party=kit.id("exporter"), institution=kit.id("bank")
    )
    assert {one["organisation"] for one in rows[0]["reviews"]} == {
        kit.id("bank"), kit.id("regulator"),
    }  # fmt: skip


# --- no tipping off ----------------------------------------------------------------------------


def test_no_tipping_off_holds_of_every_cause_look_the_same() -> None:
    """Receipts, events, tasks and the answer to others differ in nothing but salts and numbers."""
    seen = []
    for decision, reason in (("BLOCK", "entry 36"), ("REVIEW", "papers are missing")):
        kit = small_world()
        made = grounds(kit, "exporter", decision, reason=reason)
        decide(kit, "exporter", "HELD", grounds=made)
        assert not kit.discloses(reason)
        assert not kit.discloses(NAME)
        events = [(one.name, one.fields) for one in kit.events if one.contract == "compliance"]
        shown = kit.query("compliance", "party", id=kit.id("exporter"))
        tasks = kit.query("compliance", "tasks", organisation=kit.id("bank"))
        seen.append((events, shown, tasks, may_deal(kit, "exporter"), kit.last.steps_used))
    assert seen[0] == seen[1]


def test_no_tipping_off_only_the_bank_and_regulators_are_entitled_to_the_grounds() -> None:
    kit = small_world()
    _, assessment = decide(kit, "exporter", "HELD")
    entry = kit.query("vault", "entry", commitment=assessment.commitment)["entry"]
    assert set(entry["organisations"]) == {kit.id("bank"), kit.id("regulator")}
    for told in ("exporter", "rival bank"):
        with pytest.raises(Refused, match="TIPPING_OFF"):
            decide(kit, "namesake", "HELD", regulators=[kit.id(told)])
    note = kit.commit("reported, number 4711")
    kit.as_("officer").call(
        "compliance", "follow_up", party=kit.id("exporter"), text=note.commitment
    )
    entry = kit.query("vault", "entry", commitment=note.commitment)["entry"]
    assert set(entry["organisations"]) == {kit.id("bank"), kit.id("regulator")}
    assert not kit.discloses("number 4711")


def test_no_tipping_off_a_held_party_sees_no_task_of_its_hold() -> None:
    kit = small_world()
    decide(kit, "exporter", "HELD")
    assert kit.query("compliance", "tasks", organisation=kit.id("exporter"))["tasks"] == []


# --- deadlines and tasks -----------------------------------------------------------------------


def test_rule_51_a_hold_is_followed_up_within_ten_business_days() -> None:
    """Begun on each day of a week, by a count of its own: Monday is 0."""
    kit = small_world()
    for _ in range(7):
        decide(kit, "exporter", "HELD")
        (task,) = kit.query("compliance", "tasks", organisation=kit.id("bank"))["tasks"]
        assert (task["method"], task["roles"]) == ("follow_up", ["compliance_officer"])
        date, left = kit.time_ms // DAY_MS, 10
        while left:
            date += 1
            left -= (date - 4) % 7 < 5
        assert task["due"] == (date + 1) * DAY_MS - 1
        assert task["since"] == kit.time_ms
        text = kit.commit("done").commitment
        kit.as_("colleague").call("compliance", "follow_up", party=kit.id("exporter"), text=text)
        assert kit.query("compliance", "tasks", organisation=kit.id("bank"))["tasks"] == []
        decide(kit, "exporter", "VERIFIED", by="colleague")
        kit.as_("officer").refused(
            "WRONG_STATE", "compliance", "follow_up", party=kit.id("exporter"), text=text
        )
        kit.advance(days=1)
    kit.as_("rival officer").refused(
        "NOT_FOUND", "compliance", "follow_up", party=kit.id("exporter"), text=text
    )


def test_rule_51_another_decision_to_hold_does_not_begin_the_ten_days_anew() -> None:
    kit = small_world()
    decide(kit, "exporter", "HELD")
    before = kit.query("compliance", "tasks", organisation=kit.id("bank"))
    kit.advance(days=5)
    decide(kit, "exporter", "HELD")
    assert kit.query("compliance", "tasks", organisation=kit.id("bank")) == before


def test_tasks_tell_both_sides_of_a_pending_file() -> None:
    kit = small_world()
    kit.as_("exporter").call(
        "compliance", "apply", institution=kit.id("bank"), dossier=kit.commit("x").commitment
    )
    for who in ("bank", "exporter"):
        found = kit.query("compliance", "tasks", organisation=kit.id(who))
        (task,) = found["tasks"]
        assert (task["organisation"], task["method"]) == (kit.id("bank"), "decide")
        assert task["args"] == {"party": kit.id("exporter")}
        assert found["next"] == 0
    assert kit.query("compliance", "tasks", organisation=kit.id("namesake"))["tasks"] == []
    decide(kit, "exporter", "VERIFIED")
    assert kit.query("compliance", "tasks", organisation=kit.id("bank"))["tasks"] == []


def test_a_refused_call_changes_nothing() -> None:
    kit = small_world()
    before = kit.query("compliance", "party", id=kit.id("exporter"))
    with pytest.raises(Refused, match="PAST_DATE"):
        decide(kit, "exporter", "HELD", review_on=date_of(START_MS))
    assert kit.query("compliance", "party", id=kit.id("exporter")) == before
    with pytest.raises(Refused, match="NOT_FOUND"):
        kit.query(
            "compliance", "decisions_of", party=kit.id("exporter"), institution=kit.id("bank")
        )


# --- the fifty per cent rule ---------------------------------------------------------------------


def owned(*shares: tuple[str, str, int], listed: str = "X") -> set[str]:
    given = [Share(owner, owned_, points) for owner, owned_, points in shares]
    return set(counted_as_listed(given, listed.split())) - set(listed.split())


def test_rule_51_half_is_enough_and_less_is_not() -> None:
    assert owned(("X", "A", 5_000)) == {"A"}
    assert owned(("X", "A", 4_999)) == set()


def test_rule_51_stakes_of_several_listed_parties_add_up() -> None:
    assert owned(("X", "A", 2_500), ("Y", "A", 2_500), listed="X Y") == {"A"}
    assert owned(("X", "A", 2_500), ("Y", "A", 2_500)) == set()


def test_rule_51_the_rule_runs_through_chains() -> None:
    chain = [(f"{'X' if n == 0 else f'A{n}'}", f"A{n + 1}", 5_000) for n in range(10)]
    assert owned(*reversed(chain)) == {f"A{n}" for n in range(1, 11)}
    chain[4] = ("A4", "A5", 4_999)
    assert owned(*chain) == {"A1", "A2", "A3", "A4"}


def test_rule_51_indirect_stakes_count_through_blocked_owners_alone() -> None:
    """OFAC's FAQ 401: X owns half of A and half of B, which own a quarter of C each: C is blocked;
    of B only a tenth: it is not; nor if X has a quarter of A and B, which have half of C each."""
    assert "C" in owned(("X", "A", 5_000), ("X", "B", 5_000), ("A", "C", 2_500), ("B", "C", 2_500))
    assert owned(
        ("X", "A", 5_000), ("X", "B", 1_000), ("A", "C", 2_500), ("B", "C", 2_500)
    ) == {"A"}  # fmt: skip
    assert (
        owned(("X", "A", 2_500), ("X", "B", 2_500), ("A", "C", 5_000), ("B", "C", 5_000)) == set()
    )
    assert "C" in owned(("X", "A", 5_000), ("X", "C", 2_500), ("A", "C", 2_500))


def test_rule_51_circles_of_owners_end() -> None:
    circle = (("A", "B", 6_000), ("B", "A", 6_000))
    assert owned(*circle) == set()
    assert owned(*circle, ("X", "C", 9_000), ("C", "A", 4_000)) == {"C"}
    assert owned(("A", "B", 9_000), ("B", "A", 4_000), ("X", "A", 5_000)) == {"A", "B"}


def test_rule_51_nobody_owns_more_than_the_whole() -> None:
    for shares in ([("X", "A", 6_000), ("Y", "A", 4_001)], [("X", "A", 10), ("X", "A", 10)]):
        with pytest.raises(ContractError, match="OWNERSHIP_WRONG"):
            owned(*shares)


_PARTIES = st.sampled_from("XYABCDEF")


@given(st.dictionaries(st.tuples(_PARTIES, _PARTIES), st.integers(1, WHOLE), max_size=20))
def test_rule_51_what_counts_as_listed_is_the_least_set_that_the_rule_closes(
    stakes: dict[tuple[str, str], int],
) -> None:
    """By another way to it: take away from all what the rule does not bear, down to a fixpoint,
    would give the greatest; the least grows from the listed one party at a time."""
    shares: list[tuple[str, str, int]] = []
    left = dict.fromkeys("XYABCDEF", WHOLE)
    for (owner, party), points in stakes.items():
        part = min(points, left[party])
        if part:
            left[party] -= part
            shares.append((owner, party, part))
    grown = {"X", "Y"}
    while more := [
        party
        for party in "ABCDEF"
        if party not in grown
        and sum(part for owner, one, part in shares if one == party and owner in grown) >= HALF
    ]:
        grown.add(more[0])
    assert owned(*shares, listed="X Y") == grown - {"X", "Y"}
