"""`hansa screen` (DOMAIN rule 51): names, owners and legal entities against a list."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.screening.lei import load_entities
from cli.screening.lists import WEAK, SanctionsList, load_list
from cli.screening.matching import Hit, form_of, likeness, screen
from consensus.primitives.codec import data_from_json
from contracts.compliance.compliance_records import Assessment
from contracts.sdk.fields import field_of
from tests.cli.support import Hansa

DATA = Path(__file__).parents[2].parent / "shared" / "data"
SANCTIONS, LEI_FILE = DATA / "sanctions", DATA / "lei" / "L1Data.ttl"
needs_data = pytest.mark.skipif(not SANCTIONS.exists(), reason="needs the shared data")

PARTY, NAMESAKE = "9521432000013", "9521543000018"
_NO = ",-0- " * 7


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A list with an alias, a former name, a weak alias, and rows that are wrong."""
    made = tmp_path / "list"
    made.mkdir()
    (made / "sdn.csv").write_text(
        f'36,"CARIBE COFFEE EXPORT, S.A.",-0- ,CUBA{_NO},"Linked To: X; a.k.a. \'CCE\'."\n'
        f"40,VOSTOK SHIPPING LLC,-0- ,RUSSIA{_NO},-0- \n"
        f"40,TWICE,-0- ,RUSSIA{_NO},-0- \n"
        f"x,NO NUMBER,-0- ,RUSSIA{_NO},-0- \n"
        "50,TOO SHORT\n"
    )
    (made / "alt.csv").write_text(
        "36,1,fka,ANTILLES TRADING HOUSE,-0- \n"
        "40,2,aka,SUDOKHODNAYA KOMPANIYA VOSTOK,-0- \n"
        "99,3,aka,OF NO ENTRY,-0- \n"
        "36,4,???,OF NO KIND,-0- \n"
    )
    (made / "add.csv").write_text("36,1,-0- ,Havana,Cuba,-0- \n99,2,-0- ,X,Y,-0- \n")
    return made


def entries(hits: list[Hit]) -> list[str]:
    return [hit.listed.entry for hit in hits]


# --- lists -------------------------------------------------------------------------------------


def test_a_list_is_read_and_what_is_wrong_is_counted_by_reason(hansa: Hansa, folder: Path) -> None:
    found = hansa.json("screen", "list", folder)
    assert (found["entries"], found["addresses"]) == (2, 1)
    assert found["names"] == {"alias": 1, "former name": 1, "name": 2, "weak alias": 1}
    assert found["refused"] == {
        "add: an address of no entry": 1,
        "alt: a name of no entry": 1,
        "alt: no name, or of no known kind": 1,
        "sdn: a row without 12 columns": 1,
        "sdn: an entry without number or name": 1,
        "sdn: an entry's number twice": 1,
    }


def test_rule_51_the_digest_is_of_the_bytes_of_every_file(folder: Path) -> None:
    first = load_list(folder).digest
    assert load_list(folder).digest == first
    for name in ("sdn.csv", "alt.csv", "add.csv"):
        before = (folder / name).read_bytes()
        (folder / name).write_bytes(before + b"\n")
        assert load_list(folder).digest != first
        (folder / name).write_bytes(before)
    for path in list(folder.iterdir()):
        path.rename(folder / f"ofac_{path.name}")
    assert load_list(folder).digest == first


def test_what_is_no_list_is_said_so(hansa: Hansa, tmp_path: Path) -> None:
    assert hansa("screen", "list", tmp_path, "--json").error == "LIST_INVALID"
    for raw in (
        b"",
        b"<html>Try again later</html>\n",
        b"36;NAME;-0-\n",
        "36,NAME".encode("utf-16"),
    ):
        (tmp_path / "sdn.csv").write_bytes(raw)
        for words in (("list", tmp_path), ("name", "Anybody", "--list", tmp_path)):
            assert hansa("screen", *words, "--json").error == "LIST_INVALID"


def test_a_decision_says_how_much_of_the_list_was_refused(hansa: Hansa, folder: Path) -> None:
    words = ("screen", "name", "Honest Traders", "--list", folder)
    assert sum(hansa.json(*words)["rows_refused"].values()) == 6
    assert "rows of the list refused" in hansa(*words).out


@pytest.mark.parametrize("name", ["", "...", "x" * 401])
def test_what_is_no_name_clears_nobody(hansa: Hansa, folder: Path, name: str) -> None:
    code = "NAME_NOT_COMPARABLE"
    assert hansa("screen", "name", name, "--list", folder, "--json").error == code
    words = ("screen", "name", "Honest Traders", "--also", name, "--list", folder, "--json")
    assert hansa(*words).error == code


def test_an_owners_file_speaks_of_the_party_under_any_of_its_names(
    hansa: Hansa, folder: Path, tmp_path: Path
) -> None:
    owners = tmp_path / "owners.csv"
    owners.write_text("Vostok Shipping,BRIGHT BEANS LIMITED,100\n")
    words = ("--list", folder, "--owners", owners)
    for names in (("Bright Beans",), ("Helle Bohnen", "--also", "Bright Beans Ltd.")):
        code, found = grounds(hansa, *names, *words)
        assert (code, found["decision"], found["owned"]) == (1, "BLOCK", [names[0]])
    assert hansa("screen", "name", "Another", *words, "--json").error == "OWNERS_INVALID"
    for raw in (b"\xff\xfe", b'"' + b"x" * 140_000):
        owners.write_bytes(raw)
        assert hansa("screen", "name", "Another", *words, "--json").error == "OWNERS_INVALID"


def test_deep_clearances_are_refused(hansa: Hansa, folder: Path, tmp_path: Path) -> None:
    cleared = tmp_path / "cleared.json"
    cleared.write_text("[" * 200_000)
    words = ("screen", "name", "Another", "--list", folder, "--cleared", cleared, "--json")
    assert hansa(*words).error == "CLEARANCES_INVALID"


# --- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("Caribe Coffee Export SA", "36"),
        ("EXPORT CARIBE COFFEE", "36"),
        ("Caribe Cofee Export", "36"),
        ("Antilles Trading House Ltd.", "36"),
        ("Восток Шиппинг", "40"),
        ("Судоходная компания «Восток»", "40"),
        ("Sudohodnaya kompaniia Vostok", "40"),
        ("C.C.E.", "36"),
    ],
)
def test_rule_51_alternate_names_spellings_and_scripts_are_hits(
    folder: Path, name: str, entry: str
) -> None:
    assert entries(screen([name], load_list(folder))) == [entry]


@pytest.mark.parametrize(
    "name", ["Carolina Coffee Roasters", "Coffee Export House", "CCE Logistics", "Ltd", "-", ""]
)
def test_rule_51_common_words_alone_are_no_hit(folder: Path, name: str) -> None:
    assert screen([name], load_list(folder)) == []


@given(st.text(max_size=40), st.text(max_size=40))
def test_likeness_is_whole_symmetric_and_full_of_itself(one: str, other: str) -> None:
    first, second = form_of(one), form_of(other)
    score = likeness(first, second)
    assert type(score) is int and 0 <= score <= 100
    assert score == likeness(second, first)
    if first.text:
        assert likeness(first, first) == 100


# --- assessments -------------------------------------------------------------------------------


def grounds(hansa: Hansa, *words: object) -> tuple[int, Any]:
    outcome = hansa("screen", "name", *words, "--json")
    return outcome.code, outcome.json


def test_rule_51_an_assessment_is_what_the_contract_takes(
    hansa: Hansa, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "grounds.json"
    code, found = grounds(
        hansa, "Caribe Coffee Export", "--list", folder, "--party", PARTY, "--out", out,
        "--factor", "country=25", "--factor", "known for years=-5",
    )  # fmt: skip
    assert (code, found["decision"], found["score"]) == (1, "REVIEW", 120)
    assert out.stat().st_mode & 0o077 == 0
    taken = field_of(Assessment).check(data_from_json(json.loads(out.read_text())))
    assert taken.lists[0].digest == load_list(folder).digest
    assert taken.algorithm.startswith("hansa-screen/1 (rapidfuzz ")
    assert sum(one.points for one in taken.factors) == taken.score
    assert [(one.entry, one.score) for one in taken.hits] == [("36", 100)]


def test_rule_51_a_clearance_is_of_one_party_and_one_listed_name(
    hansa: Hansa, folder: Path, tmp_path: Path
) -> None:
    cleared = tmp_path / "cleared.json"
    one = {"party": PARTY, "entry": "36", "name": "CARIBE COFFEE EXPORT, S.A.", "reason": "Miami"}
    cleared.write_text(json.dumps([one]))
    words = ("Caribe Coffee Export", "--list", folder, "--cleared", cleared)
    code, found = grounds(hansa, *words, "--party", PARTY)
    assert (code, found["decision"], found["hits"][0]["cleared"]) == (0, "CLEAR", "Miami")
    for party in ("", NAMESAKE):  # not inherited
        code, found = grounds(hansa, *words, "--party", party)
        assert (code, found["decision"]) == (1, "REVIEW")
    rows = (folder / "sdn.csv").read_text()
    (folder / "sdn.csv").write_text(rows.replace("EXPORT, S.A.", "EXPORTS, S.A."))
    assert grounds(hansa, *words, "--party", PARTY)[1]["decision"] == "REVIEW"
    for text in ("{", "[5]", '[{"party": 5}]', json.dumps([{**one, "entry": ""}])):
        cleared.write_text(text)
        assert hansa("screen", "name", *words, "--json").error == "CLEARANCES_INVALID"


def test_rule_51_what_a_listed_party_owns_by_a_chain_is_blocked(
    hansa: Hansa, folder: Path, tmp_path: Path
) -> None:
    owners = tmp_path / "owners.csv"
    words = ("Bright Beans", "--list", folder, "--owners", owners)
    chain = "owner,owned,percent\nVostok Shipping,Holding BV,50\nHolding BV,Bright Beans,{}\n"
    owners.write_text(chain.format("50.00"))
    code, found = grounds(hansa, *words)
    assert (code, found["decision"]) == (1, "BLOCK")
    assert found["listed_owners"] == ["Vostok Shipping"]
    assert found["owned"] == ["Holding BV", "Bright Beans"]
    text = hansa("screen", "name", *words).out
    assert "counted as listed  Holding BV, Bright Beans" in text
    owners.write_text(chain.format("49.99"))
    assert grounds(hansa, *words)[1]["decision"] == "CLEAR"
    for row in ("a,b", "a,b,c", "a,b,0", "a,b,100.01", "a,b,33.333", ",b,5", "a,b,NaN",
                "x,Z,60\ny,Z,60"):  # fmt: skip
        owners.write_text(row + "\n")
        assert hansa("screen", "name", *words, "--json").error == "OWNERS_INVALID"


def test_an_assessment_is_written_of_a_party_alone(hansa: Hansa, folder: Path) -> None:
    words = ("screen", "name", "X", "--list", folder, "--json")
    assert hansa(*words, "--out", "x.json").error == "BAD_ARGUMENT"
    assert hansa(*words, "--factor", "x").error == "BAD_ARGUMENT"
    assert hansa(*words, "--factor", "x=1001").error == "BAD_ARGUMENT"


# --- GLEIF and OFAC's own files ------------------------------------------------------------------

ENTITY = """
gleif-L1-data:L-{lei}
\ta gleif-L1:LegalEntity ;
\tgleif-L1:hasLegalName "{name}"@en ;
\t.
"""


def test_legal_entities_are_read_with_their_check_digits(
    hansa: Hansa, folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "lei.ttl"
    good, wrong = "506700GE1G29325QX363", "506700GE1G29325QX364"
    file.write_text(
        ENTITY.format(lei=good, name='The \\"Caribe\\" Coff\\u00e9e Export SA')
        + ENTITY.format(lei=wrong, name="X")
        + ENTITY.format(lei="5493001KJTIIGC8Y1R12", name="").replace('""', '"" ;#')
    )
    found, refused = load_entities(file)
    assert [(one.lei, one.names) for one in found] == [(good, ('The "Caribe" Coffée Export SA',))]
    assert refused == {"the LEI's check digits are wrong": 1, "no legal name": 1}
    outcome = hansa("screen", "lei", file, "--list", folder, "--json")
    assert (outcome.code, outcome.json["screened"], outcome.json["clear"]) == (1, 1, 0)
    file.write_text("nothing")
    assert hansa("screen", "lei", file, "--list", folder, "--json").error == "LEI_FILE_INVALID"


@pytest.fixture(scope="module")
def ofac() -> SanctionsList:
    return load_list(SANCTIONS)


@needs_data
def test_ofac_s_files_are_read_whole(ofac: SanctionsList) -> None:
    assert (len(ofac.entries), ofac.addresses) == (1768, 2890)
    assert Counter(one.kind for one in ofac.names) == {
        "name": 1768, "alias": 2105, "former name": 160, "new name": 10, "weak alias": 225,
    }  # fmt: skip
    # The remarks are of persons, whom the shared files leave out.
    assert ofac.refused == {"sdn_comments: remarks of no entry": 4}


@needs_data
def test_gleif_s_sample_is_screened(hansa: Hansa) -> None:
    found = hansa("screen", "lei", LEI_FILE, "--list", SANCTIONS, "--json")
    assert (found.code, found.json["screened"], found.json["clear"]) == (0, 9, 9)
    assert found.json["refused"] == {}


@needs_data
def test_altered_names_of_the_list_are_found_again(ofac: SanctionsList) -> None:
    """Every 150th name, in lower case, with its words turned round, and with a letter left out."""
    chosen = [one for one in ofac.names if one.kind != WEAK and len(one.name) >= 12][::150]

    def found(alter: Any) -> int:
        return sum(one.entry in entries(screen([alter(one.name)], ofac)) for one in chosen)

    middle = {one.name: len(one.name) // 2 for one in chosen}
    assert len(chosen) == 23
    assert found(str.lower) == len(chosen)
    assert found(lambda name: " ".join(reversed(name.split()))) == len(chosen)
    dropped = found(lambda name: name[: middle[name]] + name[middle[name] + 1 :])
    assert dropped == len(chosen)
