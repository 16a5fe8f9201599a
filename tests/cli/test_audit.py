"""`hansa audit export`: what is in the file, what is proven, and what a spreadsheet makes of it."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import tracemalloc
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from cli import audit, proven
from cli.audit_filters import require_known, wanted_of
from cli.audit_rows import Wanted, key_text, safe_cell, utc
from cli.client import ClientError
from cli.epcis.capturing import Capture
from cli.epcis.importing import prepared
from consensus.block import SealedBlock
from consensus.primitives.codec import encode
from consensus.primitives.crypto import public_key, sha256
from consensus.primitives.errors import HansaError, InputError
from consensus.transaction import Call, TransactionBody
from contracts.runtime.executor import run_query
from contracts.sdk.commitments import commit
from node.setup import CHAIN, GENESIS
from node.store.blocks import decode_receipts
from node.store.kv import LevelKV
from tests.cli.epcis_samples import document, seen
from tests.cli.support import Hansa, Outcome
from tests.cli.test_proof import sealed
from tests.node.support import ADMIN, OneChain
from tests.sim.world import EPOCH_MS, GLN

LOT = "01/09521321000018/10/L1"
OTHER = "01/09521321000018/10/=cmd"
DAY_MS = 86_400_000
PERSON = sha256(b"ada's key")
SALT = bytes(16)
NAME = commit(SALT, "Ada Lovelace")


class ChainSource:
    """The blocks and receipts of a chain in this process."""

    def __init__(self, one: OneChain) -> None:
        self.document = one.document
        self._chain = one.chain
        self._blocks = one.chain.blocks
        self.height = one.chain.height

    def sealed(self, height: int) -> SealedBlock:
        found = self._blocks.sealed(height)
        assert found is not None
        return found

    def receipts(self, height: int) -> bytes:
        raw = self._blocks.receipts_raw(height)
        assert raw is not None
        return raw

    def contracts(self) -> dict[str, Any]:
        return self._chain.registry.schema()

    def ask(self, contract: str, method: str, args: dict[str, Any]) -> Any:
        chain = self._chain
        return run_query(chain.registry, chain.state, chain.block_context(), contract, method, args)


class Made:
    """A chain: a block a day, of one transaction each."""

    def __init__(self) -> None:
        self.one = OneChain()
        self.codes: list[str] = []

    def call(self, contract: str, method: str, /, seed: bytes = ADMIN, **args: Any) -> None:
        one = self.one
        one.numbers += 1
        time_ms = max(one.chain.header.time_ms + DAY_MS, EPOCH_MS)
        call = Call(contract, method, args)
        body = TransactionBody(
            1, one.document.chain_id, public_key(seed), (call,), time_ms + 1_000, 1_000_000,
            one.numbers.to_bytes(16, "big"),
        )  # fmt: skip
        outcome = trio.run(self._commit, body.signed(seed), time_ms)
        self.codes.append(outcome)

    async def _commit(self, tx: Any, time_ms: int) -> str:
        outcome = await self.one.commit([tx], time_ms=time_ms)
        return outcome.receipts[0].code

    def source(self) -> ChainSource:
        return ChainSource(self.one)


def some(item: str, amount: int) -> dict[str, Any]:
    return {"item": item, "quantity": {"amount": amount, "unit": "EA"}}


@pytest.fixture(scope="module")
def made() -> Made:
    """Lots made and set apart; a person who signs what became of one; a refused call."""
    made = Made()
    made.call("batch", "commission", items=[some(LOT, 10)])
    made.call("batch", "commission", items=[some(OTHER, 5)])
    made.call("batch", "quarantine", items=[some(LOT, 4)])
    made.call("batch", "quarantine", items=[some(LOT, 100)])
    made.call("identity", "add_user", id="A1", name=NAME)
    made.call(
        "identity", "add_key", key=public_key(PERSON), label="ada", roles=["manufacturer"],
        user="A1",
    )  # fmt: skip
    made.call("batch", "release", seed=PERSON, items=[some(LOT, 3)])
    released = bytes.fromhex(exported(made, Path("/nonexistent"), rows_only=True)[-1]["new_sha256"])
    made.call("identity", "sign_record", seed=PERSON, record_hash=released, meaning="approval")
    assert made.codes == ["OK", "OK", "OK", "TOO_LITTLE", "OK", "OK", "OK", "OK"]
    return made


def exported(
    made: Made,
    folder: Path,
    wanted: Wanted | None = None,
    form: str = "json",
    *,
    first: int = 1,
    last: int | None = None,
    names: dict[str, str] | None = None,
    rows_only: bool = False,
) -> Any:
    import tempfile

    if rows_only:
        folder = Path(tempfile.mkdtemp())
    out = folder / f"export-{len(list(folder.iterdir()))}.{form}"
    source = made.source()
    audit.write_export(
        source, first, last or source.height, wanted or Wanted(), form, out, names or {}, print
    )
    if form == "csv":
        return out.read_bytes()
    found = json.loads(out.read_text())
    return found["rows"] if rows_only else found


def test_a_row_has_who_what_why_when_and_where(made: Made, tmp_path: Path) -> None:
    found = exported(made, tmp_path)
    first = found["rows"][0]
    block = made.source().sealed(1).block
    assert first == {
        "row": "record",
        "time": utc(block.header.time_ms),
        "who": GLN,
        "key": public_key(ADMIN).hex(),
        "roles": "corporate_admin manufacturer",
        "contract": "batch",
        "method": "commission",
        "meaning": "authorship",
        "transaction": first["transaction"],
        "block": block.hash.hex(),
        "position": "1.0.1",
        "effect": "",
        "record_of": "batch.lots",
        "record": LOT,
        "change": "created",
        "old_sha256": "",
        "new_sha256": first["new_sha256"],
        "signatures": [],
    }
    assert first["transaction"] == proven.ProvenBlock(block, ()).tx_id(0).hex()  # type: ignore[union-attr]
    assert found["end"]["rows"] == len(found["rows"])
    assert (found["end"]["from_height"], found["end"]["to_height"]) == (1, 8)
    assert found["end"]["last_block"] == made.source().sealed(8).block.hash.hex()
    assert found["end"]["blocks_without_checked_certificate"] == 0
    assert "4." not in {row["position"][:2] for row in found["rows"]}  # refused: nothing changed


def test_rule_28_a_record_s_whole_history_is_a_chain_of_hashes(made: Made, tmp_path: Path) -> None:
    found = exported(made, tmp_path, Wanted(parts=(LOT,), record_of="batch.stock"))
    rows = found["rows"]
    assert [row["method"] for row in rows] == ["commission", "quarantine", "release"]
    assert rows[0]["old_sha256"] == ""
    for before, after in itertools.pairwise(rows):
        assert after["old_sha256"] == before["new_sha256"]
    key = (LOT, GLN, GLN)
    stored = made.one.chain.state.scan(b"batch\0stock\0", b"batch\0stock\0\xff")
    assert rows[-1]["new_sha256"] in [sha256(raw).hex() for _, raw in stored]
    assert json.loads(rows[-1]["record"]) == list(key)


def test_what_a_captured_event_did_stands_beside_each_record(tmp_path: Path) -> None:
    made = Made()
    lot = "01/09521321000018/10/E1"
    amount = {"epcClass": f"https://id.gs1.org/{lot}", "quantity": 5}
    path = tmp_path / "event.json"
    path.write_bytes(document(seen(action="ADD", bizStep="commissioning", quantityList=[amount])))
    ((_, found),) = prepared(path, lambda _gln: True)
    assert isinstance(found, Capture)
    made.call("epcis", "capture", **found.call.args)
    made.call("batch", "quarantine", items=[some(lot, 4)])
    assert made.codes == ["OK", "OK"]
    folder = tmp_path / "exports"
    folder.mkdir()
    rows = exported(made, folder, Wanted(parts=(lot,)))["rows"]
    told = {(row["contract"], row["method"], row["effect"]) for row in rows}
    assert told == {("epcis", "capture", "batch.commission"), ("batch", "quarantine", "")}


def test_an_organisation_s_acts_are_its_own_alone(made: Made, tmp_path: Path) -> None:
    assert exported(made, tmp_path, Wanted(organisation="4012345000009"))["rows"] == []
    rows = exported(made, tmp_path, Wanted(organisation=GLN))["rows"]
    assert {row["who"] for row in rows} == {GLN}
    assert len({row["position"] for row in rows}) == 7


# --- filters -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mistyped", "code", "named"),
    [
        ({"organisation": "4012345000009"}, "UNKNOWN_ORGANISATION", f"{GLN} (Maker)"),
        ({"organisation": "Maker"}, "UNKNOWN_ORGANISATION", f"{GLN} (Maker)"),
        ({"record_of": "bacth"}, "UNKNOWN_CONTRACT", "batch"),
        ({"record_of": "bacth.stock"}, "UNKNOWN_CONTRACT", "batch"),
        ({"record_of": "batch.stocks"}, "UNKNOWN_MAP", "stock"),
        ({"record_of": "batch."}, "UNKNOWN_MAP", "stock"),
        ({"record_of": "batch.held"}, "UNKNOWN_MAP", "stock"),  # a map without a trail
        ({"item": "01/09521321000018/10/"}, "BAD_ITEM", "--item"),
    ],
)
def test_a_mistyped_filter_is_refused_and_what_there_is_named(
    made: Made, mistyped: dict[str, str], code: str, named: str
) -> None:
    """Else it would prove that nothing happened."""
    with pytest.raises(HansaError) as caught:
        wanted_of(made.source(), **mistyped)
    assert caught.value.code == code and named in caught.value.message


def test_filters_that_the_chain_knows_are_taken(made: Made, tmp_path: Path) -> None:
    source = made.source()
    for record_of in ("batch", "batch.stock", "identity.keys"):
        wanted = wanted_of(source, record_of=record_of, organisation=GLN)
        assert wanted == Wanted(GLN, (), record_of)
        assert exported(made, tmp_path, wanted)["rows"]
    both = wanted_of(source, item=f"/{LOT}", record="00ff12").parts
    assert both == (LOT, "00ff12", b"\0\xff\x12")


def test_the_command_on_a_stopped_node_s_folder(made: Made, hansa: Hansa, tmp_path: Path) -> None:
    folder, out = tmp_path / "node", tmp_path / "out.csv"
    folder.mkdir()
    kv = LevelKV(folder / CHAIN)
    kv.write(list(made.one.kv.scan(b"", b"\xff" * 40)), sync=False)
    kv.close()
    genesis = sealed(made.one.document)
    (folder / GENESIS).write_bytes(genesis.file_bytes)

    def export(*arguments: object) -> Outcome:
        return hansa("audit", "export", "--data", folder, "--out", out, *arguments)

    for option, known, code in (
        ("--organisation", "4012345000009", "UNKNOWN_ORGANISATION"),
        ("--of", "batch.stocks", "UNKNOWN_MAP"),
        ("--item", "01/09521321000018/10/L9", "UNKNOWN_ITEM"),
        ("--to", "9", "PERIOD_EMPTY"),
    ):
        told = export(option, known)
        exit_code = 1 if code in ("UNKNOWN_ORGANISATION", "UNKNOWN_ITEM") else 4
        assert (told.code, told.error, out.exists()) == (exit_code, code, False), told.err
    told = export("--item", LOT, "--of", "batch.stock", "--to", "2999-12-31")
    assert told.out == f"{out}: 3 rows of blocks 1 to 8, each proven by its block\n"
    assert "by the node's own genesis document: give --chain-id to pin it" in told.err
    assert "--to 2999-12-31 is not over on the chain: its newest block is 8, of" in told.err
    out.unlink()
    nothing = export("--item", LOT, "--of", "batch.lots", "--from", 5)
    assert nothing.code == 0 and "no rows: in blocks 5 to 8" in nothing.out
    out.unlink()
    other = folder / "other.json"
    other.write_bytes(sealed(replace(made.one.document, name="other")).file_bytes)
    for wrong in (("--chain-id", "ab" * 32), ("--genesis", other)):
        assert (export(*wrong).error, out.exists()) == ("WRONG_CHAIN", False)
        told = hansa("report", "recall", 1, "--data", folder, "--out", out, *wrong)
        assert (told.code, told.error) == (4, "WRONG_CHAIN")
    chain_id = genesis.chain_id.hex()
    pinned = export("--genesis", folder / GENESIS, "--chain-id", chain_id)
    assert pinned.code == 0 and pinned.err.endswith(f"Chain {chain_id}\n")


def test_an_item_that_nobody_knows_makes_no_file(made: Made, tmp_path: Path) -> None:
    source, out = made.source(), tmp_path / "none.csv"
    for item in ("01/09521321000018/10/L9", "00/395212345678901236"):
        check = partial(require_known, source.ask, item)
        wanted = wanted_of(source, item=item)
        with pytest.raises(ClientError, match="UNKNOWN_ITEM"):
            audit.write_export(source, 1, 8, wanted, "csv", out, {}, print, {}, check)
    assert list(tmp_path.iterdir()) == []
    require_known(source.ask, LOT)


def test_nothing_found_is_never_called_proven(made: Made, tmp_path: Path) -> None:
    """A lot that is known, in a period where nothing happened to it."""
    source, out = made.source(), tmp_path / "none.csv"
    wanted, check = wanted_of(source, item=LOT), partial(require_known, source.ask, LOT)
    end = audit.write_export(source, 5, 6, wanted, "csv", out, {}, print, {"item": LOT}, check)
    told = audit.summary(end)
    assert end.rows == 0 and out.exists()
    assert f"no rows: in blocks 5 to 6 no record was changed that fits --item {LOT}" in told
    assert "proven" not in told
    end.rows, end.uncertified = 1, 2
    assert "1 row of" in audit.summary(end) and "of 2 blocks the certificate" in audit.summary(end)


def test_rule_26_signatures_stand_beside_the_record_with_printed_name_time_and_meaning(
    made: Made, tmp_path: Path
) -> None:
    opened = exported(made, tmp_path, Wanted(parts=(LOT,)), names={NAME.hex(): "Ada Lovelace"})
    (signed,) = [row for row in opened["rows"] if row["signatures"]]
    assert (signed["method"], signed["key"]) == ("release", public_key(PERSON).hex())
    (signature,) = signed["signatures"]
    assert signature["name"] == "Ada Lovelace"
    assert (signature["meaning"], signature["user"]) == ("approval", "A1")
    assert signature["time"] > signed["time"]
    sealed = exported(made, tmp_path, Wanted(parts=(LOT,)))
    (signed,) = [row for row in sealed["rows"] if row["signatures"]]
    assert signed["signatures"][0]["name"] == f"commitment {NAME.hex()}"


def test_exports_made_twice_are_equal_byte_for_byte(made: Made, tmp_path: Path) -> None:
    for form in ("csv", "json"):
        audit_files = []
        for number in (1, 2):
            out = tmp_path / f"{number}.{form}"
            audit.write_export(made.source(), 1, 8, Wanted(), form, out, {}, print)
            audit_files.append(out.read_bytes())
        assert audit_files[0] == audit_files[1]


def test_memory_does_not_grow_with_the_export(tmp_path: Path) -> None:
    made = Made()
    peaks = []
    for blocks in (10, 50):
        for number in range(blocks):
            lots = [some(f"01/09521321000018/10/{blocks}-{number}-{one}", 1) for one in range(20)]
            made.call("batch", "commission", items=lots)
        source = made.source()
        tracemalloc.start()
        out = tmp_path / f"{blocks}.csv"
        end = audit.write_export(source, 1, source.height, Wanted(), "csv", out, {}, print)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert end.rows == source.height * 20 * 3  # of each lot: itself, its stock, its history
    assert peaks[1] < 1.5 * peaks[0], peaks


# --- spreadsheets --------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1"])
def test_edge_csv_formula_injection_cells_are_text(text: str) -> None:
    assert safe_cell(text) == f"'{text}"


def test_edge_csv_formula_injection_nothing_harmless_is_changed() -> None:
    for text in ("", "01/09521321000018/10/=cmd", "a=b", '["-1", "=x"]', "2026-05-28", "1"):
        assert safe_cell(text) == text


def test_edge_csv_formula_injection_no_cell_of_a_file_begins_a_formula(tmp_path: Path) -> None:
    made = Made()
    made.call("identity", "set_attribute", key=public_key(ADMIN), name="region", value="=cmd")
    made.call("batch", "commission", items=[some(OTHER, 5)])
    assert made.codes == ["OK", "OK"]
    from cli.audit_rows import CsvWriter, End

    raw = exported(made, tmp_path, form="csv")
    rows = list(csv.reader(io.StringIO(raw.decode(), newline="")))
    assert rows[1:] and all(not cell.startswith(tuple("=+-@\t\r")) for row in rows for cell in row)
    file = io.BytesIO()
    writer = CsvWriter(file)
    nasty: dict[str, Any] = {
        "record": '=HYPERLINK("x";"y")',
        "who": '-2+3"\r\n,=1',
        "signatures": [],
    }
    writer.row(nasty)
    writer.end(End("", 1, 1, "", "", "", 0, {"item": "=x"}))
    (_, row, end) = csv.reader(io.StringIO(file.getvalue().decode(), newline=""))
    assert '\'=HYPERLINK("x";"y")' in row and "'" + nasty["who"] in row
    assert end[0] == "end" and all(not cell.startswith("=") for cell in end)


def test_the_csv_is_quoted_and_ends_with_what_it_covers(made: Made, tmp_path: Path) -> None:
    raw = exported(made, tmp_path, form="csv")
    lines = raw.decode().split("\r\n")
    assert lines[-1] == "" and all(line.startswith('"') for line in lines[:-1])
    rows = list(csv.DictReader(io.StringIO(raw.decode(), newline="")))
    end = json.loads(rows[-1]["record"])
    assert rows[-1]["row"] == "end"
    assert end["rows"] == len(rows) - 1
    before = raw[: raw.rindex(b'"end"')]
    assert end["sha256"] == hashlib.sha256(before).hexdigest()
    times = [row["time"] for row in rows[:-1]]
    assert times == sorted(times) and all(time.endswith("Z") for time in times)


def test_keys_are_written_as_they_are_or_as_json() -> None:
    assert key_text("text") == "text"
    assert key_text([b"\x01", 2]) == '[{"hex": "01"}, 2]'
    assert key_text(7) == "7"


# --- proof ---------------------------------------------------------------------------------------


class Forged(ChainSource):
    """A node that lies about one thing."""

    lie = ""

    def sealed(self, height: int) -> SealedBlock:
        found = super().sealed(height)
        if self.lie == "block" and height == 3:
            return super().sealed(2)
        if self.lie == "parts" and height == 3:
            other = super().sealed(2).block
            header = found.block.header
            block = type(found.block)(header, other.bodies, other.evidence, None)
            return SealedBlock(block, found.certificate)
        if self.lie == "certificate" and height == 3:
            return SealedBlock(found.block, None)
        return found

    def receipts(self, height: int) -> bytes:
        raw = super().receipts(height)
        if height != 3:
            return raw
        plain = [one.to_plain() for one in decode_receipts(raw)]
        if self.lie == "receipt left out":
            return encode(plain[:-1])
        if self.lie == "receipt changed":
            plain[0][4][-1][2]["organisation"] = "4012345000009"
            return encode(plain)
        return b"\xff" if self.lie == "no receipts" else raw


@pytest.mark.parametrize(
    "lie",
    ["block", "parts", "certificate", "receipt left out", "receipt changed", "no receipts"],
)
def test_a_node_that_lies_is_found_out_and_no_file_is_made(
    made: Made, tmp_path: Path, lie: str
) -> None:
    source = Forged(made.one)
    source.lie = lie
    out = tmp_path / "out.csv"
    with pytest.raises(InputError) as caught:
        audit.write_export(source, 1, 8, Wanted(), "csv", out, {}, print)
    assert caught.value.code == "NOT_PROVEN" and "block 3" in caught.value.message
    assert list(tmp_path.iterdir()) == []


def test_seals_of_too_few_validators_prove_nothing(made: Made, tmp_path: Path) -> None:
    class Thin(ChainSource):
        def sealed(self, height: int) -> SealedBlock:
            found = super().sealed(height)
            return SealedBlock(found.block, made.one.certificate(height, found.block.hash, 2))

    with pytest.raises(InputError, match="2 signers where 3 are needed"):
        audit.write_export(Thin(made.one), 1, 8, Wanted(), "csv", tmp_path / "x", {}, print)


# --- periods and the command ---------------------------------------------------------------------


def test_a_period_is_heights_dates_or_times(made: Made) -> None:
    source = made.source()
    days = [utc(source.sealed(height).block.header.time_ms)[:10] for height in (1, 3, 8)]
    assert audit.height_at(source, "3", is_end=False) == 3
    assert audit.height_at(source, days[1], is_end=False) == 3
    assert audit.height_at(source, days[1], is_end=True) == 3
    assert audit.height_at(source, "1999-01-01", is_end=False) == 1
    assert audit.height_at(source, "1999-01-01", is_end=True) == 0
    assert audit.height_at(source, "2099-01-01", is_end=False) == 9
    assert audit.height_at(source, "2099-01-01T00:00:00+02:00", is_end=True) == 8
    exact = f"{days[2]}T00:00:00Z"
    assert audit.height_at(source, exact, is_end=True) == 7
    with pytest.raises(InputError, match="PERIOD_UNREADABLE"):
        audit.height_at(source, "yesterday", is_end=True)


def test_openings_name_persons_only_where_they_open_the_commitment(tmp_path: Path) -> None:
    opening = {"commitment": NAME.hex(), "salt": SALT.hex(), "value": "Ada Lovelace"}
    (tmp_path / "a.json").write_text(json.dumps({"openings": [opening]}))
    assert audit.names_in(tmp_path) == {NAME.hex(): "Ada Lovelace"}
    (tmp_path / "a.json").write_text(json.dumps({"openings": [opening | {"value": "Eve"}]}))
    assert audit.names_in(tmp_path) == {}
    for wrong in ("[]", "[" * 100_000):
        (tmp_path / "a.json").write_text(wrong)
        with pytest.raises(InputError, match="BAD_OPENINGS"):
            audit.names_in(tmp_path)


def test_a_file_that_names_persons_is_not_for_others(made: Made, tmp_path: Path) -> None:
    modes = []
    for number, names in enumerate(({}, {NAME.hex(): "Ada Lovelace"})):
        out = tmp_path / f"{number}.csv"
        audit.write_export(made.source(), 1, 2, Wanted(), "csv", out, names, print)
        modes.append(out.stat().st_mode & 0o077)
    assert modes[0] != 0 and modes[1] == 0


def test_the_command_refuses_what_it_does_not_understand(hansa: Hansa, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    assert hansa("audit", "export", "--item", "nothing", "--out", out).error == "BAD_ITEM"
    out.write_text("")
    assert hansa("audit", "export", "--out", out).error == "FILE_EXISTS"
    assert hansa("audit", "export").code == 2
