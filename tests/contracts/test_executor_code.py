"""Contract code on the chain: packages, migrations, runtimes, block 0."""

from __future__ import annotations

import pytest

from consensus.primitives.errors import InputError, LocalFault
from consensus.primitives.keys import decode_key
from consensus.transaction import Call
from contracts.runtime import steps
from contracts.runtime.executor import BlockContext, BlockExecutor, bootstrap, run_query
from contracts.runtime.overlay import Overlay
from contracts.runtime.package import Package, package_of
from contracts.runtime.registry import Registry, builtin_packages, builtin_registry
from contracts.runtime.session import Frame, Session
from contracts.runtime.upgrade import migrate as run_migration
from contracts.sdk import Contract, ContractError, genesis
from tests.contracts.ledger import MAKER, Ledger, consortium, seed_of

NOTES = '''
from __future__ import annotations

from contracts.sdk import Contract, Index, Map, Record, call, genesis, migrate, query, refuse


class Note(Record):
    writer: str
    text: str{field}


class Notes(Contract):
    """Notes of many versions."""

    name = "notes"
    version = {version}

    notes = Map(Note, key=("key",))
{more}
    @genesis
    def found(self) -> None:
        self.notes.put("first", Note("genesis", "version {version}"))

    @call
    def write(self, key: str, text: str) -> None:
        self.notes.put(key, Note(self.ctx.organisation, text))

    @query
    def note(self, key: str) -> Note | None:
        return self.notes.get(key)
'''
MIGRATION = """
    notes_of = Index("notes", on=("writer",))

    @migrate
    def upgrade(self, from_version: int) -> None:
        if from_version != 1:
            refuse("WRONG_VERSION", "only from version 1")
        for key, note in list(self.notes.items()):
            note.size = len(note.text)
            self.notes.put(key, note)
        self.emit("Upgraded", version=from_version)

    @query
    def keys_of(self, writer: str) -> list[str]:
        return list(self.notes_of.keys(writer))
"""


def notes(version: int, *, more: str = "", field: str = "") -> Package:
    text = NOTES.format(version=version, more=more, field=field)
    return package_of([("notes/contract.py", text)])


def newer(version: int = 2) -> Package:
    return notes(version, more=MIGRATION, field="\n    size: int = 0")


@pytest.fixture
def noted() -> Ledger:
    registry = Registry.of([*builtin_packages(), notes(1)])
    ledger = Ledger(registry, {"identity": consortium()["identity"]})
    ledger.ok(MAKER, "write", "notes", key="a", text="four")
    return ledger


def test_a_new_contract_s_genesis_runs_when_it_comes_to_the_chain() -> None:
    ledger = Ledger(builtin_registry(), {"identity": consortium()["identity"]})
    executor = BlockExecutor(ledger.registry, ledger.state, ledger.block_context())
    for package in builtin_packages():
        executor.replace(package)
    assert executor.replace(notes(1)).code == "OK"
    found = run_query(
        executor.registry, executor.state, ledger.block_context(), "notes", "note", {"key": "first"}
    )
    assert found == {"writer": "genesis", "text": "version 1"}
    assert ledger.registry.get("notes") is None


def test_a_migration_brings_the_state_to_its_new_form_and_fills_a_new_index(noted: Ledger) -> None:
    registry = noted.registry.with_packages([*builtin_packages(), newer()])
    before = dict(noted.state.values)
    ran = run_migration(registry, noted.state, noted.block_context(), "notes", 1)
    assert (ran.code, [event.name for event in ran.events]) == ("OK", ["Upgraded"])
    assert ran.steps_used > 0 and noted.state.values == before
    noted.state.values.update({k: v for k, v in ran.changes.items() if v is not None})
    noted.registry = registry
    assert noted.query("note", "notes", key="a") == {"writer": MAKER, "text": "four", "size": 4}
    assert noted.query("keys_of", "notes", writer=MAKER) == ["a"]
    assert noted.query("keys_of", "notes", writer="genesis") == ["first"]


def test_a_migration_that_refuses_leaves_nothing(noted: Ledger) -> None:
    registry = noted.registry.with_packages([*builtin_packages(), newer()])
    ran = run_migration(registry, noted.state, noted.block_context(), "notes", 5)
    assert (ran.code, ran.events, ran.changes) == ("WRONG_VERSION", (), {})


def test_unchanged_contracts_keep_their_modules_and_meter(noted: Ledger) -> None:
    registry = noted.registry.with_packages([*builtin_packages(), newer()])
    assert registry.meter is noted.registry.meter
    assert registry.get("batch") is noted.registry.get("batch")
    assert registry.get("notes") is not noted.registry.get("notes")
    assert registry.digest != noted.registry.digest
    assert Registry.of(reversed(registry.packages)).digest == registry.digest


def test_a_runtime_that_this_software_lacks_stops_the_node() -> None:
    package = notes(1)
    with pytest.raises(LocalFault) as caught:
        Registry.of([Package(package.name, package.version, 99, package.files)])
    assert caught.value.code == "RUNTIME_UNKNOWN"


def test_names_that_the_state_uses_are_no_contract_s() -> None:
    for name in ("due", "consensus"):
        text = NOTES.format(version=1, more="", field="").replace('"notes"', f'"{name}"')
        with pytest.raises(InputError) as caught:
            Registry.of([package_of([("notes/contract.py", text)])])
        assert caught.value.code == "CONTRACT_REFUSED"


def test_write_sets_are_what_each_transaction_wrote(noted: Ledger) -> None:
    executor = BlockExecutor(noted.registry, noted.state, noted.block_context())
    executor.begin()
    good = noted.tx(seed_of(MAKER), Call("notes", "write", {"key": "b", "text": "x"}))
    bad = noted.tx(seed_of(MAKER), Call("notes", "write", {"key": "b"}))
    codes = [executor.execute(tx).code for tx in (good, bad)]
    assert codes == ["OK", "BAD_ARGUMENT"]
    assert [len(one) for one in executor.write_sets] == [1, 0]
    executor.finish()
    assert executor.changes.items() >= executor.write_sets[0].items()
    assert len(executor.changes) == 2, "the note, and what the organisation used"


def test_block_0_is_made_of_packages_and_genesis_arguments() -> None:
    block = BlockContext(bytes(32), 0, 0, bytes(32))
    registry = Registry.of([notes(1)])
    made = bootstrap(registry, block, {})
    assert [decode_key(key) for key in made] == [("notes", "notes", ("first",))]
    with pytest.raises(InputError) as caught:
        bootstrap(registry, block, {"notes": {"more": 1}})
    assert caught.value.code == "GENESIS_INVALID"


def test_a_contract_has_one_genesis_and_one_migration() -> None:
    class Twice(Contract):
        name = "twice"

        @genesis
        def one(self) -> None:
            pass

        @genesis
        def two(self) -> None:
            pass

    with pytest.raises(TypeError):
        Registry((Twice,))


def test_governance_takes_code_for_runtimes_in_force_and_no_other_contract_asks(
    noted: Ledger,
) -> None:
    files = [[file.path, file.text] for file in newer().files]
    noted.registry.meter.start(100_000_000)
    session = Session(noted.registry, noted.block_context())
    session.enter(Overlay(noted.state))

    def check(contract: str, runtime: int, sources: list[list[str]]) -> str:
        module = noted.registry.get(contract)
        assert module is not None
        try:
            Frame(session, module).check_package("notes", 2, runtime, sources)
        except ContractError as error:
            return error.code
        return "OK"

    before = noted.registry.meter.left
    assert check("governance", 1, files) == "OK"
    price = before - noted.registry.meter.left
    package = newer()
    assert price == steps.SOURCE_BYTE * package.size + steps.SOURCE_WORD * package.words
    assert check("governance", 0, files) == check("governance", 2, files) == "RUNTIME_NOT_IN_FORCE"
    assert check("batch", 1, files) == "NOT_AUTHORISED"
    assert check("governance", 1, [["notes/contract.py", "import os\n"]]) == "CONTRACT_REFUSED"
    assert check("governance", 1, [["../contract.py", files[0][1]]]) == "CONTRACT_REFUSED"
