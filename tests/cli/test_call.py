"""`hansa call`: help of a method, options, and what never leaves the machine."""

from __future__ import annotations

import base64
import json
import shlex
from pathlib import Path

import httpx
import pytest

from cli.arguments import parse_arguments
from cli.method_help import method_help
from cli.network import Network
from cli.sample_trade import load_sample_trade
from contracts.sdk import opens
from tests.cli.support import Hansa

NAME = "Abebe Bikila"
MAKER = load_sample_trade().organisations[0]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every request that goes out, head and body."""
    requests: list[bytes] = []
    handle = httpx.HTTPTransport.handle_request

    def keep(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        head = f"{request.method} {request.url} {dict(request.headers)}".encode()
        requests.append(head + b"\n" + request.read())
        return handle(transport, request)

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", keep)
    return requests


def test_help_of_a_method_tells_its_arguments_bounds_conditions_and_an_example(
    hansa: Hansa, url: str
) -> None:
    shown = hansa("call", "batch", "commission", "--help")
    assert shown.code == 0
    for part in (
        "Usage: hansa call batch commission [NAME=VALUE | --NAME VALUE]...",
        "Bring lots, serials and empty logistic units into being",
        "a key with the role manufacturer or wholesaler",
        "items                required",
        "list of 1 to 400",
        "quantity.amount",
        "whole number from 1 to 1000000000000000",
        'expiry               ""',
        'hansa call batch commission \'items=[{"item": "01/09521321000018/10/LOT1"}]\'',
    ):
        assert part in shown.out
    assert max(map(len, shown.out.splitlines())) <= 100
    assert "As NAME=VALUE only: key." in hansa("call", "identity", "add_key", "-h").out
    assert (
        "personal: a salted commitment is sent" in hansa("call", "identity", "add_user", "-h").out
    )
    # The same, for programs: what the HTTP API publishes.
    published = httpx.get(f"{url}/v1/contracts").json()
    method = hansa.json("call", "batch", "commission", "--help")
    assert method == published["batch"]["methods"]["commission"]


def test_the_example_of_every_method_is_a_valid_call(hansa: Hansa, url: str) -> None:
    published = httpx.get(f"{url}/v1/contracts").json()
    seen = 0
    for contract, described in published.items():
        for method, declared in described["methods"].items():
            text = method_help(contract, method, declared, frozenset())
            command = text.rsplit("Example:\n  ", 1)[1]
            words = shlex.split(command)
            assert words[:4] == ["hansa", declared["kind"], contract, method]
            parse_arguments(published, contract, method, declared["kind"], words[4:])
            seen += 1
    assert seen > 30


def test_options_and_pairs_make_the_same_call(hansa: Hansa, url: str) -> None:
    items = '[{"item": "01/09521321000018/10/%s", "quantity": {"amount": 5}}]'
    for lot, words in (("A", ("--expiry", "2030-01-31")), ("B", ("expiry=2030-01-31",))):
        done = hansa("call", "batch", "commission", "--items", items % lot, *words)
        assert done.code == 0, done.err
    found = [
        hansa("query", "batch", "item", "--item", f"01/09521321000018/10/{lot}").out for lot in "AB"
    ]
    assert "20300131" in found[0]
    assert found[0].replace("/10/A", "/10/B") == found[1]


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (("batch", "commission", "--colour", "red"), 4, "BAD_ARGUMENT"),
        (("batch", "commission", "nonsense"), 4, "BAD_ARGUMENT"),
        (("batch", "nonsense", "--help"), 4, "UNKNOWN_METHOD"),
        (("nonsense", "--help"), 4, "UNKNOWN_CONTRACT"),
    ],
)
def test_mistakes(hansa: Hansa, url: str, words: tuple[str, ...], code: int, error: str) -> None:
    outcome = hansa("call", *words)
    assert (outcome.code, outcome.error) == (code, error)


def test_an_option_before_the_contract_is_wrong_usage(hansa: Hansa) -> None:
    outcome = hansa("call", "--colour", "batch")
    assert outcome.code == 2 and "No such option" in outcome.err


def test_personal_values_never_leave_the_machine(
    hansa: Hansa, network: Network, url: str, sent: list[bytes]
) -> None:
    done = hansa("call", "identity", "add_user", "id=staff-7", f"name={NAME}", "--json")
    assert done.code == 0, done.err
    tx_id = done.json["tx_id"]
    folder = network.organisation_key(MAKER.id).parent / "openings"
    file = folder / f"{tx_id}.json"
    assert str(file) in done.err
    assert file.stat().st_mode & 0o777 == 0o600
    kept = json.loads(file.read_text())
    (opening,) = kept.pop("openings")
    assert kept == {
        "format": "hansa-openings/1",
        "tx_id": tx_id,
        "contract": "identity",
        "method": "add_user",
    }
    assert (opening["argument"], opening["visibility"], opening["value"]) == (
        "name", "personal", NAME,
    )  # fmt: skip

    # What stands on chain is the commitment, and the file opens it.
    (user,) = hansa.json("query", "identity", "user_list", f"organisation={MAKER.id}")["result"]
    assert user["name"] == {"hex": opening["commitment"]}
    assert opens(bytes.fromhex(user["name"]["hex"]), bytes.fromhex(opening["salt"]), NAME)

    # Neither the name nor its salt is in any byte that went out, in no usual encoding.
    assert any(bytes.fromhex(opening["commitment"]) in one for one in sent)
    for secret in (NAME.encode(), bytes.fromhex(opening["salt"])):
        forms = [secret, secret.hex().encode(), base64.b64encode(secret)]
        assert not any(form in one for form in forms for one in sent)


def test_openings_go_where_one_says_and_each_has_its_own_salt(
    hansa: Hansa, url: str, tmp_path: Path
) -> None:
    place = tmp_path / "safe"
    for number in (1, 2):
        words = (f"id=staff-{number}", f"name={NAME}", "--openings", str(place))
        assert hansa("call", "identity", "add_user", *words).code == 0
    kept = [json.loads(file.read_text())["openings"][0] for file in place.iterdir()]
    assert len(kept) == 2 and len({one["commitment"] for one in kept}) == 2
    assert place.stat().st_mode & 0o777 == 0o700


def test_a_clear_value_is_checked_before_anything_is_sent(
    hansa: Hansa, url: str, tmp_path: Path, sent: list[bytes]
) -> None:
    place = tmp_path / "safe"
    words = ("id=staff-1", f"name={'x' * 201}", "--openings", str(place))
    outcome = hansa("call", "identity", "add_user", *words)
    assert (outcome.code, outcome.error) == (4, "BAD_ARGUMENT")
    assert "name: must have 1 to 200 characters" in outcome.err
    assert not place.exists() and not any(one.startswith(b"POST") for one in sent)


def test_a_commitment_made_earlier_is_passed_on(hansa: Hansa, url: str, tmp_path: Path) -> None:
    place = tmp_path / "safe"
    name = json.dumps({"commitment": "ab" * 32})
    words = ("id=staff-1", f"name={name}", "--openings", str(place))
    assert hansa("call", "identity", "add_user", *words).code == 0
    assert not place.exists()
    (user,) = hansa.json("query", "identity", "user_list", f"organisation={MAKER.id}")["result"]
    assert user["name"] == {"hex": "ab" * 32}
