"""`hansa bill`: DCSA transport documents as bills of lading."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from cli.bill_documents import bill_of
from cli.network import Network
from consensus.primitives.errors import InputError
from tests.cli.support import Hansa

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "transport" / "dcsa"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="needs the shared data")
SHIPPER, CONSIGNEE, CARRIER = "9521321000018", "9521432000013", "9521765000018"


def document(**changes: Any) -> dict[str, Any]:
    """A bill to order, made up; ``changes`` to its fields, None takes one away."""
    made: dict[str, Any] = {
        "transportDocumentReference": "KOGG-77",
        "transportDocumentTypeCode": "BOL",
        "isElectronic": True,
        "isToOrder": True,
        "freightPaymentTermCode": "PRE",
        "isShippedOnBoardType": True,
        "shippedOnBoardDate": "2039-03-02",
        "transports": {
            "portOfLoading": {"UNLocationCode": "DEHAM"},
            "portOfDischarge": {"locationName": "Riga"},
            "vesselVoyages": [{"vesselName": "Adler", "carrierExportVoyageNumber": "12W"}],
        },
        "documentParties": {
            "shipper": {
                "partyName": "Lindenau Pharma GmbH",
                "address": {"street": "Am Kai 1", "city": "Hamburg", "countryCode": "DE"},
            },
        },
        "consignmentItems": [
            {
                "descriptionOfGoods": ["Tablets,", "24 pallets"],
                "cargoItems": [
                    {
                        "equipmentReference": "CSQU3054383",
                        "cargoGrossWeight": {"value": 9600.5, "unit": "KGM"},
                        "outerPackaging": {"numberOfPackages": 24},
                    }
                ],
            }
        ],
        "utilizedTransportEquipments": [{"equipment": {"equipmentReference": "CSQU3054383"}}],
    }
    made |= changes
    return {name: value for name, value in made.items() if value is not None}


def read(**changes: Any) -> dict[str, Any]:
    return bill_of(json.dumps(document(**changes)).encode())


def refusal(raw: bytes) -> str:
    with pytest.raises(InputError) as caught:
        bill_of(raw)
    return caught.value.code


def test_a_bill_to_order_gives_its_terms() -> None:
    raw = json.dumps(document()).encode()
    made = bill_of(raw, clauses=("2 pallets wet",))
    assert made == {
        "to_order": True,
        "document": {"hex": hashlib.sha256(raw).hexdigest()},
        "terms": {
            "reference": "KOGG-77",
            "shipper": "Lindenau Pharma GmbH, Am Kai 1, Hamburg, DE",
            "consignee": "",
            "goods": ["Tablets, 24 pallets"],
            "containers": ["CSQU3054383"],
            "packages": 24,
            "gross_weight_g": 9_600_500,
            "loading": "DEHAM",
            "discharge": "Riga",
            "vessel": "Adler",
            "voyage": "12W",
            "on_board": "2039-03-02",
            "freight": "PRE",
            "clauses": ["2 pallets wet"],
        },
    }


def test_a_straight_bill_names_its_consignee() -> None:
    parties = document()["documentParties"] | {"consignee": {"partyName": "Baltic"}}
    made = read(isToOrder=False, documentParties=parties)
    assert (made["to_order"], made["terms"]["consignee"]) == (False, "Baltic")
    for wrong in (document(isToOrder=False), document(documentParties=parties)):
        assert refusal(json.dumps(wrong).encode()) == "DCSA_STRUCTURE"


def test_weights_are_exact() -> None:
    cargo = {"cargoGrossWeight": {"value": 1000, "unit": "LBR"}}
    items = [{"descriptionOfGoods": "Coffee", "cargoItems": [cargo, cargo]}]
    assert read(consignmentItems=items)["terms"]["gross_weight_g"] == 2 * 453_592


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"transportDocumentTypeCode": "SWB"}, "DCSA_NOT_NEGOTIABLE"),
        ({"transportDocumentTypeCode": "XYZ"}, "DCSA_STRUCTURE"),
        ({"transportDocumentReference": None}, "DCSA_STRUCTURE"),
        ({"isToOrder": "yes"}, "DCSA_STRUCTURE"),
        ({"documentParties": None}, "DCSA_STRUCTURE"),
        ({"consignmentItems": []}, "DCSA_STRUCTURE"),
        ({"shippedOnBoardDate": "2039-02-30"}, "DCSA_DATE_TIME"),
        ({"freightPaymentTermCode": "XXX"}, "DCSA_CODE"),
        ({"utilizedTransportEquipments": [{"equipmentReference": "CSQU3054384"}]}, "DCSA_CODE"),
    ],
)
def test_what_is_no_bill_is_refused_by_name(changes: dict[str, Any], code: str) -> None:
    assert refusal(json.dumps(document(**changes)).encode()) == code


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'"BOL"'])
def test_what_is_no_document_is_refused(raw: bytes) -> None:
    assert refusal(raw) in ("DCSA_NOT_JSON", "DCSA_STRUCTURE")


def test_a_weight_beyond_all_bounds_is_refused() -> None:
    for value in ("1e400", "-1", "1e15"):
        raw = json.dumps(document()).replace("9600.5", value).encode()
        assert refusal(raw) == "DCSA_STRUCTURE"


@needs_data
def test_sea_waybills_of_the_samples_are_refused(hansa: Hansa) -> None:
    files = sorted(DATA.glob("ebl-*.json"))
    done = hansa("bill", "check", *files, "--reference", "SI-1", "--json")
    assert done.code == 1
    assert done.json["counts"] == {"DCSA_NOT_NEGOTIABLE": len(files)}


def test_a_bill_is_issued_from_a_document(hansa: Hansa, url: str, network: Network) -> None:
    carrier = ("--key", network.organisation_key(CARRIER))
    route = ("origin=DEHAM", "destination=LVRIX", "wanted_arrival=2039-05-01T00:00:00Z")
    hansa.json("call", "shipment", "book", f"carrier={CARRIER}", f"consignee={CONSIGNEE}", *route)
    leg = {"mode": "VESSEL", "origin": "DEHAM", "destination": "LVRIX", "vessel": "9321483",
           "departure": "2039-04-01T00:00:00Z", "arrival": "2039-04-05T00:00:00Z"}  # fmt: skip
    hansa.json("call", "shipment", "confirm_booking", "number=1", f"legs={json.dumps([leg])}",
               *carrier)  # fmt: skip
    Path("bill.json").write_text(json.dumps(document()))
    assert hansa.json("bill", "check", "bill.json")["counts"] == {"OK": 1}
    made = hansa.json("bill", "issue", "bill.json", "--shipment", 1, *carrier)
    assert made == {"bill": 1, "shipment": 1}
    shown = hansa("bill", "show", 1).out
    assert "ISSUED" in shown and SHIPPER in shown and "KOGG-77" not in shown
    opened = hansa.json("bill", "show", 1, "--open", *carrier)
    assert opened["opened"]["reference"] == "KOGG-77" and len(opened["steps"]) == 1
    again = hansa("bill", "issue", "bill.json", "--shipment", 1, *carrier)
    assert again.code == 1
    assert hansa("bill", "show", 2).error == "NOT_FOUND"
    hansa.json("call", "bill", "ask_for_paper", "number=1", "turn=0")
    assert "paper_wanted" in hansa("bill", "show", 1).out
    Path("paper.pdf").write_bytes(b"the signed original")
    paper = hashlib.sha256(b"the signed original").hexdigest()
    hansa.json("call", "bill", "replace_by_paper", "number=1", f"paper={paper}", *carrier)
    back = ("bill", "issue", "bill.json", "--shipment", 1, "--replaces", 1, *carrier)
    assert hansa(*back).code == 1
    assert hansa.json(*back, "--paper", "paper.pdf") == {"bill": 2, "shipment": 1}
    assert hansa.json("bill", "show", 1)["bill"]["replaced_by"] == 2
