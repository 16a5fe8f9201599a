"""Money in trust that a credit's honour releases: both contracts are the real ones."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.sdk.testkit import Refused
from tests.contracts import credits, finance


def test_a_credits_honour_releases() -> None:
    kit = credits.small_world("claims", "escrow")
    kit.organisation("agent", roles=("nbfc",))
    number = credits.advised(kit)
    one = credits.present(kit, number)
    about: dict[str, Any] = {"credit": number, "presentation": one}
    with pytest.raises(Refused, match="NOT_FOUND"):
        finance.propose(kit, "CREDIT", **about | {"credit": 7})
    with pytest.raises(Refused, match="OTHER_PARTIES"):
        finance.propose(kit, "CREDIT", payee=kit.id("farmer"), **about)
    trust, (note,) = finance.funded(kit, "100.00 EUR", condition="CREDIT", **about)
    release: dict[str, Any] = {"number": trust, "notes": [note]}
    credits.examine(kit, number, one)
    kit.as_("seller").refused("CONDITION_OPEN", "escrow", "release", **release)
    credits.pay(kit, number, one)
    assert kit.as_("seller").call("escrow", "release", **release) == "RELEASED"
    kit.replay()


def test_without_credits_there_is_no_such_condition() -> None:
    kit = finance.small_world()
    with pytest.raises(Refused, match="UNKNOWN_CONTRACT"):
        finance.propose(kit, "CREDIT", credit=1, presentation=1)
