"""`hansa tasks`: own tasks, colleagues', and what others owe."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.network import Network
from cli.tasks import left_of, weekdays
from contracts.sdk.dates import DAY_MS
from tests.cli.support import Hansa

MAKER, WHOLESALER = "9521321000018", "9521432000013"
CARRIER = "9521765000018"
LOT = "01/09521321000018/10/A1"


@given(st.integers(0, 40_000), st.integers(0, 60))
def test_weekdays_are_those_of_the_calendar(start: int, days: int) -> None:
    first = datetime.date(1970, 1, 1) + datetime.timedelta(days=start)
    later = [first + datetime.timedelta(days=day) for day in range(1, days + 1)]
    assert weekdays(start, start + days) == sum(day.weekday() < 5 for day in later)


@pytest.fixture
def booked(hansa: Hansa, network: Network, url: str) -> int:
    """A shipment that the maker has booked with the carrier."""
    outcome = hansa(
        "call", "shipment", "book", f"carrier={CARRIER}", f"consignee={WHOLESALER}",
        "origin=NLAMS", "destination=FRPAR", "wanted_arrival=2090-01-01T00:00:00Z",
        f'goods=[{{"item": "{LOT}", "quantity": {{"amount": 60}}}}]', "--json",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    number: int = outcome.json["result"]
    return number


def shown(hansa: Hansa, *words: object) -> dict[str, list[tuple[str, str]]]:
    """For whom -> methods and who has to call them."""
    found: dict[str, list[tuple[str, str]]] = {"mine": [], "colleagues": [], "others": []}
    for row in hansa.json("tasks", *words)["tasks"]:
        found[row["for"]].append((row["method"], row["organisation"]))
    return found


def test_a_task_is_one_party_s_and_all_parties_see_it(
    hansa: Hansa, network: Network, booked: int
) -> None:
    confirm = [("confirm_booking", CARRIER)]
    carrier = ("--key", network.organisation_key(CARRIER))
    assert shown(hansa) == {"mine": [], "colleagues": [], "others": confirm}
    assert shown(hansa, *carrier) == {"mine": confirm, "colleagues": [], "others": []}
    assert shown(hansa, "--organisation", WHOLESALER)["others"] == confirm
    other_role = ("--organisation", CARRIER, "--role", "bank_officer")
    assert shown(hansa, *other_role) == {"mine": [], "colleagues": confirm, "others": []}
    assert shown(hansa, "--contract", "recall") == {"mine": [], "colleagues": [], "others": []}
    text = hansa("tasks", *carrier).out
    assert f"confirm_booking number={booked}" in text
    assert text.count("nothing") == 2


def test_deadlines_stand_with_the_banking_days_that_are_left(
    hansa: Hansa, network: Network, booked: int
) -> None:
    carrier = ("--key", network.organisation_key(CARRIER))

    def confirmed(promised: str) -> Any:
        leg = (
            '[{"mode": "TRUCK", "origin": "NLAMS", "destination": "FRPAR",'
            ' "departure": "2089-01-01T00:00:00Z", "arrival": "2089-01-02T00:00:00Z"}]'
        )
        words = (f"number={booked}", f"legs={leg}", f"promised_arrival={promised}")
        return hansa("call", "shipment", "confirm_booking", *words, *carrier, "--json")

    now_ms = hansa.json("status")["block_time_ms"]
    now = datetime.datetime.fromtimestamp(now_ms / 1000, datetime.UTC)
    due = now + datetime.timedelta(days=28)
    assert confirmed(f"{due:%Y-%m-%dT%H:%M:%SZ}").code == 0
    rows = hansa.json("tasks")["tasks"]
    assert [(row["method"], row["for"]) for row in rows] == [
        ("transport_event", "others"),
        ("hand_over", "mine"),
    ]
    assert [row["left"] for row in rows] == [20, ""]


def test_a_deadline_that_is_over_or_years_away_says_so() -> None:
    monday = 20_000 * DAY_MS - (20_000 + 3) % 7 * DAY_MS
    assert left_of(None, {"due": monday - 1}, monday) == "overdue"
    assert left_of(None, {"due": 0}, monday) == ""
    assert left_of(None, {"due": monday + 7 * 1_000 * DAY_MS}, monday) == 5_000


def test_without_a_key_the_organisation_is_named(
    hansa: Hansa, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HANSA_KEY")
    assert hansa("tasks", "--json").error == "KEY_MISSING"
    assert shown(hansa, "--organisation", MAKER)["mine"] == []
