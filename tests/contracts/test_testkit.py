"""The test kit, on a contract of a file: as an author would use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consensus.primitives.errors import InputError
from contracts.runtime.registry import BUILTIN, Registry, builtin_packages
from contracts.sdk import strategies
from contracts.sdk.fields import field_of
from contracts.sdk.schemas import field_from
from contracts.sdk.testkit import CONSORTIUM, Refused, Testkit, read_package
from tests.contracts.test_fields import FIELDS, MADE, outcome

SOURCE: Final = '''"""Promises that lapse."""

from __future__ import annotations

from typing import Annotated, Any

from contracts.sdk import (
    Blob, Contract, Counter, Map, Personal, Quantity, Record, Text, call, genesis, opens, query,
    refuse, timed,
)

DAY_MS = 86_400_000


class Promise(Record):
    by: str
    what: Quantity
    contact: Annotated[bytes, Personal(Text(80))]
    kept: bool = False


class Promises(Contract):
    """Promises that lapse."""

    name = "promises"
    version = 3

    promises = Map(Promise, key=("number",))
    count = Counter()

    @genesis
    def found(self, first: int = 1) -> None:
        self.count.add(first - 1)

    @call(roles=("manufacturer",))
    def make(
        self, what: Quantity, days: int, contact: Annotated[bytes, Personal(Text(80))]
    ) -> int:
        number = self.count.add()
        self.promises.put(number, Promise(self.ctx.organisation, what, contact))
        self.due(self.ctx.time_ms + days * DAY_MS, "lapse", number=number)
        self.emit("Made", number=number)
        return number

    @call(own=("promises", "number", "by"))
    def keep(self, number: int) -> None:
        promise = self.promises.get(number)
        if promise is None:
            refuse("UNKNOWN_PROMISE", "there is none of this number")
        promise.kept = True
        self.promises.put(number, promise)

    @timed
    def lapse(self, number: int) -> None:
        promise = self.promises.get(number)
        if promise is not None and not promise.kept:
            self.promises.delete(number)
            self.emit("Lapsed", number=number)

    @call(attributes=(("region", "EU"),))
    def fail(self, by: int) -> int:
        share = 10 // by
        return share

    @call
    def show(
        self, number: int, salt: Annotated[bytes, Blob(16, 16)], name: Annotated[str, Text(80)]
    ) -> bool:
        promise = self.promises.get(number)
        return promise is not None and opens(promise.contact, salt, name)

    @query
    def promise(self, number: int) -> Promise | None:
        return self.promises.get(number)

    @query
    def tenth(self, by: int) -> int:
        return self._share(by)

    def _share(self, by: int) -> int:
        return 10 // by
'''
NUMBER_OF_FAULT: Final = 1 + SOURCE.splitlines().index("        share = 10 // by")


@pytest.fixture
def kit(tmp_path: Path) -> Testkit:
    (tmp_path / "promises.py").write_text(SOURCE)
    kit = Testkit.of(tmp_path / "promises.py", genesis={"promises": {"first": 7}})
    kit.organisation("maker", roles=("manufacturer", "compliance_officer"))
    kit.organisation("shop", roles=("dispenser",), attributes={"region": "EU"})
    return kit


def make(kit: Testkit, days: int = 3) -> Any:
    contact = kit.commit("Abebe Bikila").commitment
    return kit.as_("maker").call("promises", "make", what={"amount": 5}, days=days, contact=contact)


def test_calls_queries_events_and_steps(kit: Testkit) -> None:
    assert make(kit) == 7  # genesis arguments count
    assert kit.last.code == "OK" and 5_000 < kit.last.steps_used < 100_000
    assert (kit.events[-1].contract, kit.events[-1].name) == ("promises", "Made")
    found = kit.query("promises", "promise", number=7)
    assert found["by"] == kit.id("maker") and found["what"] == {"amount": 5, "unit": "EA"}
    caller = kit.query("identity", "caller", key=kit.public_key("maker"))
    assert caller["roles"] == ["compliance_officer", "corporate_admin", "manufacturer"]
    kit.replay()


def test_conditions_and_refusals(kit: Testkit) -> None:
    make(kit)
    shop, maker = kit.as_("shop"), kit.as_("maker")
    shop.refused("NOT_AUTHORISED", "promises", "keep", number=7)
    shop.refused("NOT_FOUND", "promises", "keep", number=8)
    maker.refused("NOT_AUTHORISED", "promises", "fail", by=2)  # region EU is the shop's
    assert shop.call("promises", "fail", by=2) == 5
    detail = maker.refused("BAD_ARGUMENT", "promises", "make", what={"amount": 0}, days=1)
    assert detail == "promises.make: what: amount: must be from 1 to 1000000000000000"
    maker.call("promises", "keep", number=7)
    with pytest.raises(AssertionError, match="was not refused"):
        maker.refused("NOT_FOUND", "promises", "keep", number=7)
    with pytest.raises(AssertionError, match="NOT_FOUND"):
        maker.refused("NOT_AUTHORISED", "promises", "keep", number=99)
    with pytest.raises(Refused) as caught:
        kit.query("promises", "nonsense")
    assert caught.value.code == "UNKNOWN_METHOD"
    kit.replay()


def test_several_calls_are_one_transaction(kit: Testkit) -> None:
    maker = kit.as_("maker")
    contact = kit.commit("x").commitment
    args = {"what": {"amount": 5}, "days": 1, "contact": contact}
    assert maker.calls(("promises", "make", args), ("promises", "make", args)) == [7, 8]
    with pytest.raises(Refused):
        maker.calls(("promises", "make", args), ("promises", "keep", {"number": 99}))
    assert kit.query("promises", "promise", number=9) is None
    with pytest.raises(Refused) as caught:
        maker.calls(("promises", "make", args), steps_max=2_000)
    assert caught.value.code == "OUT_OF_STEPS"


def test_time_passes_and_what_is_due_runs(kit: Testkit) -> None:
    for _ in range(70):  # more than a block runs
        make(kit)
    kit.as_("maker").call("promises", "keep", number=8)
    before = kit.time_ms
    assert kit.advance(days=2) == []
    assert kit.time_ms - before == 2 * 86_400_000
    ran = kit.advance(days=2)
    assert [one.code for one in ran] == ["OK"] * 70 == [one.code for one in kit.due_receipts]
    assert sum(event.name == "Lapsed" for event in kit.events) == 69
    assert kit.query("promises", "promise", number=7) is None
    assert kit.query("promises", "promise", number=8)["kept"] is True
    kit.replay()


def test_a_fault_shows_the_author_the_line(kit: Testkit) -> None:
    with pytest.raises(Refused) as caught:
        kit.as_("shop").call("promises", "fail", by=0)
    assert (caught.value.code, caught.value.detail) == ("CONTRACT_FAULT", "")
    text = str(caught.value)
    assert f"promises.py:{NUMBER_OF_FAULT} in fail: share = 10 // by" in text
    assert "ZeroDivisionError" in text
    with pytest.raises(Refused) as asked:
        kit.query("promises", "tenth", by=0)
    assert "in tenth: return self._share(by)" in str(asked.value)
    assert "in _share: return 10 // by" in str(asked.value)
    # The next refusal has nothing of it, and the receipt never had.
    with pytest.raises(Refused) as other:
        kit.as_("shop").call("promises", "keep", number=1)
    assert "ZeroDivisionError" not in str(other.value)
    kit.replay()


def test_personal_values_are_nowhere_in_clear(kit: Testkit) -> None:
    make(kit)
    assert kit.discloses("Made") and kit.discloses(kit.id("maker"))
    assert not kit.discloses("Abebe")
    kit.as_("maker").call("identity", "add_key", key=bytes(32), label="Abebe's", roles=[])
    assert kit.discloses("Abebe")


def test_an_opening_is_shown_to_a_contract_and_then_to_all(kit: Testkit) -> None:
    number = make(kit)
    opening = kit.commit("Abebe Bikila")
    other = kit.as_("maker").call(
        "promises", "make", what={"amount": 5}, days=3, contact=opening.commitment
    )
    show = {"salt": opening.salt, "name": "Abebe Bikila"}
    assert kit.as_("shop").call("promises", "show", number=other, **show) is True
    assert kit.as_("shop").call("promises", "show", number=number, **show) is False
    assert kit.discloses("Abebe")


def test_more_keys_of_an_organisation(kit: Testkit) -> None:
    kit.key("clerk", "maker", roles=("corporate_user",), attributes={"region": "EU"})
    assert kit.id("clerk") == kit.id("maker")
    assert kit.as_("clerk").call("promises", "fail", by=5) == 2
    kit.as_("clerk").refused("NOT_AUTHORISED", "promises", "make", what={"amount": 1}, days=1,
                             contact=bytes(32))  # fmt: skip
    with pytest.raises(ValueError, match="there already"):
        kit.organisation("clerk")
    with pytest.raises(KeyError):
        kit.as_("nobody")
    assert CONSORTIUM == "consortium"


def test_the_same_test_gives_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "promises.py").write_text(SOURCE)
    roots = set()
    for _ in range(2):
        kit = Testkit.of(tmp_path / "promises.py")
        kit.organisation("maker", roles=("manufacturer",))
        make(kit)
        roots.add((kit.root, *(receipt.raw for block in kit.blocks for receipt in block.receipts)))
    assert len(roots) == 1


MIGRATION: Final = """
    @migrate
    def renewed(self, from_version: int) -> None:
        for promise in list(self.promises.values()):
            promise.kept = True
            self.promises.put(self.count.value, promise)
        self.emit("Renewed", from_version=from_version)
"""


def test_an_upgrade_runs_the_migration(kit: Testkit, tmp_path: Path) -> None:
    number = make(kit)
    newer = SOURCE.replace("version = 3", "version = 4").replace(
        "refuse, timed,", "migrate, refuse, timed,"
    )
    (tmp_path / "newer.py").write_text(newer + MIGRATION)
    assert kit.upgrade(tmp_path / "newer.py").events[-1].fields == {"from_version": 3}
    assert kit.query("promises", "promise", number=number)["kept"] is True
    assert kit.as_("shop").call("promises", "fail", by=5) == 2
    broken = newer.replace("version = 4", "version = 5") + MIGRATION.replace(
        "promise.kept = True", "number // 0"
    ).replace("promise in", "number in").replace("values()", "keys()")
    (tmp_path / "broken.py").write_text(broken.replace("self.count.value, promise", "1, number"))
    with pytest.raises(Refused) as caught:
        kit.upgrade(tmp_path / "broken.py")
    assert caught.value.code == "CONTRACT_FAULT"
    assert kit.registry.schema()["promises"]["version"] == 4
    kit.replay()


def test_a_replay_that_differs_is_told(kit: Testkit) -> None:
    make(kit)
    kit.replay()
    (package,) = [one for one in kit.packages if one.name == "promises"]
    other = read_package_text(SOURCE.replace('emit("Made"', 'emit("Done"'))
    kit.packages = tuple(other if one is package else one for one in kit.packages)
    with pytest.raises(AssertionError, match="block 1: another state root"):
        kit.replay()


def read_package_text(text: str) -> Any:
    from contracts.runtime.package import package_of

    return package_of([("promises.py", text)])


def test_a_contract_of_several_files_and_the_built_in_ones(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    (files,) = [files for files in BUILTIN if files[-1] == "contracts/supply/batch.py"]
    kit = Testkit.of(list(files), root=root, builtin=("identity",))
    assert {module.name for module in kit.registry} == {"identity", "batch"}
    every = Testkit.of(builtin=[package.name for package in builtin_packages()])
    assert {"identity", "governance", "usage", "batch"} <= {one.name for one in every.registry}


def test_what_may_not_run_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(SOURCE.replace("10 // by", "10 / by"))
    with pytest.raises(InputError) as caught:
        Testkit.of(tmp_path / "bad.py")
    assert caught.value.code == "CONTRACT_REFUSED"
    assert f"bad.py:{NUMBER_OF_FAULT}" in caught.value.message
    with pytest.raises(OSError):
        read_package(tmp_path / "absent.py")


@pytest.mark.parametrize("name", FIELDS)
@settings(max_examples=20)
@given(data=st.data())
def test_strategies_draw_what_each_field_takes(name: str, data: st.DataObject) -> None:
    value = data.draw(strategies.of(FIELDS[name]))
    said = outcome(MADE[name], value)
    assert said[0] == "taken", said


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_strategies_of_a_method_make_valid_calls(kit: Testkit, data: st.DataObject) -> None:
    args = data.draw(kit.strategies.arguments("promises", "make", days=st.integers(1, 5)))
    assert set(args) == {"what", "days", "contact"}
    number = kit.as_("maker").call("promises", "make", **args)
    assert kit.query("promises", "promise", number=number)["contact"] == args["contact"]


def test_strategies_of_single_fields() -> None:
    drawn = {
        "Gtin": strategies.gtin(), "Gln": strategies.gln(), "Sscc": strategies.sscc(),
        "Lei": strategies.lei(), "Bic": strategies.bic(), "Iban": strategies.iban(),
        "UnLocode": strategies.unlocode(), "ContainerNumber": strategies.container_number(),
        "Currency": strategies.currency(), "Money": strategies.money(),
        "Quantity": strategies.quantities(), "Date": strategies.dates(),
        "Item": strategies.items(), "LotNumber": strategies.lots(),
    }  # fmt: skip

    @given(st.data())
    def each_is_taken(data: st.DataObject) -> None:
        for name, strategy in drawn.items():
            assert outcome(field_of(FIELDS[name]), data.draw(strategy))[0] == "taken"

    each_is_taken()


SCHEMA: Final = Registry.of(builtin_packages()).schema()
METHODS: Final = [(name, one) for name, contract in SCHEMA.items() for one in contract["methods"]]


@settings(max_examples=2 * len(METHODS), suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(METHODS), st.data())
def test_built_in_methods_have_strategies(name: tuple[str, str], data: st.DataObject) -> None:
    contract, method = name
    args = data.draw(strategies.Strategies(SCHEMA).arguments(contract, method))
    declared = SCHEMA[contract]["methods"][method]["args"]
    assert set(declared["required"]) <= set(args) <= set(declared["properties"])
    for argument, value in args.items():
        field_from(declared["properties"][argument]).check(value)
