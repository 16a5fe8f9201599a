"""What stands behind commitments: it reaches those entitled, nobody else, and can be erased.

A credit, a note and a screening run from the command line, each organisation at its own node. Then
everything that any node has written is searched for what they say.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import plyvel
import pytest
import trio

from cli.client import Client, make_transaction
from cli.main import run
from cli.network import NodeSpec
from cli.sample_trade import Organisation
from cli.vault_client import VaultClient
from consensus.primitives.codec import encode
from consensus.primitives.crypto import public_key
from node import frames
from node.keystore import Cost, create_key, load_key, read_passphrase
from node.setup import CHAIN, NETWORK_KEY, VAULT
from node.vault.parcels import PARCEL_BYTES_MAX, unseal
from node.vault.vault import ASKS_AT_ONCE
from p2p.host import Host, HostConfig
from p2p.ports import PeerAddress, PeerUnavailable
from tests.e2e.conftest import Tell
from tests.e2e.support import Devnet, devnet, until
from tests.p2p.support import Recorder

pytestmark = pytest.mark.e2e

BUYER, SELLER, BANK = "9521321000018", "9521432000013", "9521543000018"
RIVAL, REGULATOR = "9521654000013", "9521765000018"
ORGANISATIONS = (
    Organisation(BUYER, "Public Buyer", ("dispenser",)),
    Organisation(SELLER, "Public Seller", ("manufacturer",)),
    Organisation(BANK, "Public Bank", ("bank",)),
    Organisation(RIVAL, "Public Rival", ("bank",)),
    Organisation(REGULATOR, "Public Regulator", ("regulator", "consortium_admin")),
)
TODAY = datetime.now(UTC).date()
EXPIRY = str(TODAY + timedelta(days=90))
SHIPPED = str(TODAY - timedelta(days=2))

# What nobody but the parties may learn; each text and number stands in some opening.
TEXTS = (
    "ZXDC-4711-REFERENCE", "Quokka Imports Proprietary", "Wombat Metals Cooperative",
    "molybdenum ingots, grade Marzipan", "Port Xylofon", "Marzipan Line", "sampled cargo note",
    "QWERTZ HITMANSKI", "token-set-Levenshtein 7", "NOTE-REF-90210",
)  # fmt: skip
AMOUNTS = (7_130_417_329, 6_918_204_553, 5_517_331_877)


def dollars(minor: int) -> dict[str, Any]:
    return {"minor": minor, "currency": "USD"}


TERMS = {
    "reference": TEXTS[0], "applicant": TEXTS[1], "beneficiary": TEXTS[2],
    "amount": dollars(AMOUNTS[0]), "expiry": EXPIRY, "expiry_place": TEXTS[4],
    "available_with": "Bank", "available_by": "PAYMENT", "goods": TEXTS[3], "loading": TEXTS[4],
    "documents": [{"type": "INVOICE"}, {"type": "BILL_OF_LADING", "originals": 2}],
}  # fmt: skip
GOODS = {"date": SHIPPED, "digest": {"hex": "00" * 32}}
INVOICE = {
    "type": "INVOICE", "issuer": TEXTS[2], "to": TEXTS[1], "goods": TEXTS[3],
    "amount": dollars(AMOUNTS[1]), **GOODS,
}  # fmt: skip
LADING = {
    "type": "BILL_OF_LADING", "originals": 2, **GOODS,
    "carriage": {"carrier": TEXTS[5], "shipped": SHIPPED, "vessel": "Gibe", "on_deck": True,
                 "loading": TEXTS[4]},
}  # fmt: skip
LIST = {"name": "SDN", "digest": {"hex": "00" * 32}}
ASSESSMENT = {
    "party": SELLER, "name": TEXTS[2], "algorithm": TEXTS[8], "threshold": 85, "lists": [LIST],
    "hits": [{"list_name": "SDN", "entry": "36", "name": TEXTS[7], "score": 91, "cleared": "no"}],
    "shares": [], "listed_owners": [], "factors": [], "score": 0, "decision": "CLEAR",
}  # fmt: skip


@dataclass
class Person:
    """A key of an organisation, at that organisation's node."""

    net: Devnet
    node: NodeSpec
    key: Path

    def run(self, *words: object, code: int = 0) -> Any:
        """What `hansa` prints as JSON; of a command that fails its error."""
        settings = ("--passphrase-file", self.net.network.passphrase_file, "--key", self.key,
                    "--node", self.node.url, "--json")  # fmt: skip
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            found = run([str(one) for one in (*settings, *words)])
        assert found == code, err.getvalue()
        told = out.getvalue() if code == 0 else err.getvalue().splitlines()[-1]
        return json.loads(told)

    def call(self, contract: str, method: str, **args: Any) -> Any:
        """A call that takes effect; its result."""
        return self.run("call", contract, method, *words_of(args))["result"]

    def check(self, contract: str, method: str, /, *options: str, **args: Any) -> Any:
        return self.run("check", contract, method, *options, *words_of(args))

    @property
    def seed(self) -> bytes:
        return load_key(self.key, read_passphrase(self.net.network.passphrase_file))

    def vault(self) -> dict[str, str]:
        """Commitment -> its state at this node."""
        return {one["commitment"]: one["state"] for one in self.run("vault", "list")}

    def value(self, commitment: str) -> Any:
        with Client(self.node.url) as client:
            return VaultClient(client, self.seed).get(bytes.fromhex(commitment))["value"]

    def holds(self, commitment: str) -> bool:
        """For ``until``: a node that does not answer does not hold it."""
        with Client(self.node.url) as client:
            pages = VaultClient(client, self.seed).pages()
            return commitment in {one["commitment"] for page in pages for one in page["openings"]}


def words_of(args: dict[str, Any]) -> list[str]:
    return [
        f"{name}={one if isinstance(one, str) else json.dumps(one)}" for name, one in args.items()
    ]


@dataclass
class Trade:
    """The running network, its people, and the commitments of what they have agreed."""

    net: Devnet
    buyer: Person
    seller: Person
    teller: Person
    chief: Person
    officer: Person
    rival: Person
    regulator: Person
    terms: str = ""
    drawing: str = ""

    @property
    def parties(self) -> tuple[Person, ...]:
        return self.buyer, self.seller, self.teller

    def committed_to(self, person: Person, text: str) -> str:
        """The commitment behind which a text stands, by the openings' file of the call."""
        for file in sorted((person.key.parent / "openings").glob("*.json")):
            for one in json.loads(file.read_bytes())["openings"]:
                if text in json.dumps(one["value"], ensure_ascii=False):
                    return str(one["commitment"])
        raise AssertionError(f"no opening says {text}")


def employ(net: Devnet, organisation: str, name: str, *roles: str) -> Path:
    """A person of an organisation; the person's key file, in a folder of its own."""
    path = net.network.folder / "people" / name / "key.json"
    passphrase = read_passphrase(net.network.passphrase_file)
    info = create_key(path, passphrase, kind="account", name=name, cost=Cost(1, 1 << 20))
    key = {"key": info.key, "label": name, "roles": list(roles), "user": name}
    calls = [
        ("identity", "add_user", {"id": name, "name": bytes(32)}),
        ("identity", "add_key", key),
    ]
    tx = make_transaction(net.seeds[organisation], net.chain_id, calls)
    with Client(net.network.urls()) as client:
        client.submit_and_wait([tx])[0].require()
    return path


@pytest.fixture(scope="module")
def trade(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trade]:
    """A credit on which documents were presented and found discrepant; a note; a screening."""
    folder = tmp_path_factory.mktemp("vault") / "net"
    with devnet(folder, organisations=ORGANISATIONS) as net:
        one, two, three, four, five = net.nodes
        admin = net.network.organisation_key
        made = Trade(
            net,
            Person(net, one, admin(BUYER)),
            Person(net, two, employ(net, SELLER, "trader", "corporate_user")),
            Person(net, three, employ(net, BANK, "teller", "bank_officer")),
            Person(net, three, employ(net, BANK, "chief", "bank_admin")),
            Person(net, three, employ(net, BANK, "officer", "compliance_officer")),
            Person(net, four, admin(RIVAL)),
            Person(net, five, admin(REGULATOR)),
        )
        run_credit(made)
        yield made


def run_credit(made: Trade) -> None:
    day = str(TODAY)
    made.regulator.call("compliance", "announce_list", name="SDN", published=day, digest="00" * 32)
    made.officer.call(
        "compliance", "decide", party=SELLER, standing="VERIFIED", lists=[LIST],
        assessment=ASSESSMENT, review_on=EXPIRY, regulators=[REGULATOR],
    )  # fmt: skip
    made.buyer.call("credit", "apply", issuer=BANK, beneficiary=SELLER, expiry=EXPIRY, terms=TERMS)
    made.terms = made.committed_to(made.buyer, TEXTS[0])
    made.teller.call("credit", "propose", number=1)
    until(lambda: made.teller.holds(made.terms), "the terms at the bank's node")
    made.chief.check("credit", "ready", "--record", number=1)
    made.teller.call("credit", "advise", number=1)
    until(lambda: made.seller.holds(made.terms), "the terms at the seller's node")
    made.seller.call(
        "credit", "present", number=1, bank=BANK, documents=[INVOICE, LADING],
        drawing={"amount": dollars(AMOUNTS[1]), "reference": TEXTS[6]},
    )  # fmt: skip
    made.drawing = made.committed_to(made.seller, TEXTS[6])
    made.chief.call("claims", "issue", owner=SELLER, amount=dollars(AMOUNTS[2]), reference=TEXTS[9])


def test_a_check_runs_over_the_own_vault_and_its_verdict_stands_on_chain(trade: Trade) -> None:
    """The documents were presented at the seller's node, and are examined at the bank's."""
    of = {"number": 1, "presentation": 1}
    until(lambda: trade.teller.holds(trade.drawing), "the drawing at the bank's node")
    found = trade.teller.check("credit", "examine", "--record", **of)
    assert found["verdict"]["code"] == "DISCREPANT"
    assert any("on deck" in one.lower() for one in found["verdict"]["findings"])
    assert found["recorded"] == "credit.examined"
    stands = trade.net.ask(trade.buyer.node, "credit", "presentation", **of)["presentation"]
    assert stands["verdict"] == "DISCREPANT"
    # Another party that holds the openings finds the same.
    assert trade.seller.check("credit", "examine", **of)["verdict"] == found["verdict"]


def test_who_lacks_an_opening_is_told_which_and_who_may_have_it(trade: Trade) -> None:
    error = trade.rival.run("check", "credit", "ready", "number=1", code=1)["error"]
    assert error["code"] == "OPENING_MISSING"
    assert trade.terms in error["message"]
    assert f"{RIVAL} is not entitled" in error["message"]
    for party in (BUYER, SELLER, BANK):
        assert party in error["message"]


def test_another_organisation_s_key_opens_no_vault(trade: Trade) -> None:
    spy = Person(trade.net, trade.teller.node, trade.rival.key)
    for words in (("vault", "list"), ("vault", "get", trade.terms)):
        assert spy.run(*words, code=1)["error"]["code"] == "VAULT_NOT_AUTHORISED"


def test_what_was_called_at_another_s_node_is_put_into_the_own_vault_later(trade: Trade) -> None:
    name, away = "Xanthippe Zwölfer", Person(trade.net, trade.teller.node, trade.buyer.key)
    away.call("identity", "add_user", id="u7", name=name)
    commitment = trade.committed_to(trade.buyer, name)
    assert all(commitment not in one.vault() for one in (trade.buyer, trade.teller))
    (file,) = [
        one
        for one in (trade.buyer.key.parent / "openings").glob("*.json")
        if commitment in one.read_text()
    ]
    assert trade.buyer.run("vault", "put", file) == {"openings": 1, "new": 1}
    assert trade.buyer.vault()[commitment] == "UNSHARED"
    assert trade.buyer.run("vault", "get", commitment)["value"] == name
    # Nobody was entitled to it: no receipt is owed.
    told = trade.buyer.run("vault", "erase", commitment, "--reason", "REQUEST")
    assert told == {"erased_at_node": 1, "erased_in_files": 1, "receipts": 0}
    assert not file.exists()


def network_seed(net: Devnet, node: NodeSpec) -> bytes:
    passphrase = read_passphrase(net.network.passphrase_file)
    return load_key(net.network.folder / node.name / NETWORK_KEY, passphrase)


def ask_as(trade: Trade, asker: NodeSpec, asked: NodeSpec, raws: Sequence[bytes]) -> list[Any]:
    """Answers of a node to requests by another one's key, over libp2p: bytes or error texts. The
    other one's own process is stopped meanwhile."""
    network = trade.net.network
    seeds = [network_seed(trade.net, one) for one in (asker, asked)]
    target = public_key(seeds[1])
    address = PeerAddress(target, asked.name, (f"127.0.0.1:{asked.p2p_port}",))
    listen = f"127.0.0.1:{asker.p2p_port}"
    hello = trade.net.chain_id
    config = HostConfig(seeds[0], listen, (address,), hello, lambda _theirs: None)
    answers: list[Any] = []

    async def ask() -> None:
        host = Host(config, Recorder(), random.Random(1))
        async with trio.open_nursery() as nursery:
            await nursery.start(host.run)
            with trio.fail_after(30):
                while not host.connected():
                    await trio.sleep(0.02)
            for raw in raws:
                try:
                    answer: Any = await host.request(
                        target, raw, bytes_max=PARCEL_BYTES_MAX, timeout_ms=10_000
                    )
                except PeerUnavailable as error:
                    answer = str(error)
                answers.append(answer)
            nursery.cancel_scope.cancel()

    network.stop([asker])
    try:
        trio.run(ask)
    finally:
        network.start(asker)
    return answers


def test_a_non_party_s_node_that_asks_gets_nothing(trade: Trade) -> None:
    wanted = [bytes.fromhex(one) for one in (trade.terms, trade.drawing)]
    request = bytes([frames.OPENINGS]) + encode(wanted)
    answers = ask_as(trade, trade.rival.node, trade.teller.node, [request] * (ASKS_AT_ONCE + 10))
    assert answers[: ASKS_AT_ONCE // 2] == [b""] * (ASKS_AT_ONCE // 2)
    assert "VAULT_RATE" in str(answers[-1])
    trade.net.network.wait_ready([trade.rival.node])


def test_a_copied_commitment_entitles_nobody(trade: Trade) -> None:
    error = trade.rival.run("vault", "share", trade.terms, "--with", RIVAL, code=1)["error"]
    assert error["code"] == "COMMITMENT_USED"
    assert trade.rival.vault() == {}


def test_an_erasure_leaves_a_receipt_and_the_chain_verifies(trade: Trade, tmp_path: Path) -> None:
    folder = trade.net.network.folder / trade.seller.node.name / VAULT
    before = {path: path.read_bytes() for path in folder.glob("??/*")}
    assert trade.committed_to(trade.seller, TEXTS[6]) == trade.drawing
    told = trade.seller.run("vault", "erase", trade.drawing, "--reason", "REQUEST")
    assert told == {"erased_at_node": 1, "erased_in_files": 1, "receipts": 1}
    with pytest.raises(AssertionError, match="no opening"):
        trade.committed_to(trade.seller, TEXTS[6])
    left = {path: path.read_bytes() for path in folder.glob("??/*")}
    assert len(left) == len(before) - 1
    assert left.items() <= before.items()
    raw = bytes.fromhex(trade.drawing)
    entry = trade.net.ask(trade.rival.node, "vault", "entry", commitment=raw)
    (receipt,) = entry["erased"]
    assert (receipt["organisation"], receipt["reason"]) == (SELLER, "REQUEST")
    assert receipt["by"] == public_key(trade.seller.seed)
    # It is gone, and the node asks nobody for it.
    assert trade.drawing not in trade.seller.vault()
    again = trade.seller.run("check", "credit", "examine", "number=1", "presentation=1", code=1)
    assert f"{SELLER} has erased it" in again["error"]["message"]
    nothing = trade.seller.run("vault", "erase", trade.drawing, "--reason", "REQUEST")
    assert nothing == {"erased_at_node": 0, "erased_in_files": 0, "receipts": 0}
    # The others keep theirs, all chains are one, and the trail is proven from the erasing node.
    assert trade.teller.holds(trade.drawing)
    trade.net.equal_chains()
    trail = tmp_path / "trail.json"
    trade.seller.run("audit", "export", "--format", "json", "--out", trail)
    assert trade.drawing in trail.read_text()


def test_after_an_outage_what_was_shared_meanwhile_arrives(trade: Trade) -> None:
    """The regulator's node is down while it is entitled; when it is back the author's is down, and
    the bank's gives the opening. A node that starts fetches nothing that was erased."""
    net = trade.net
    net.kill(trade.regulator.node)
    trade.teller.run("vault", "share", trade.terms, "--with", REGULATOR)
    net.kill(trade.buyer.node, trade.seller.node)
    # By its key the question is answered now, sealed to it; then its node starts and asks itself.
    question = bytes([frames.OPENINGS]) + encode([bytes.fromhex(trade.terms)])
    (parcel,) = ask_as(trade, trade.regulator.node, trade.teller.node, [question])
    assert TEXTS[3].encode() not in parcel
    seeds = [network_seed(net, one.node) for one in (trade.regulator, trade.teller)]
    keys = [public_key(seed) for seed in seeds]
    (opened,) = unseal(parcel, seeds[0], keys[0], keys[1], net.chain_id).openings
    assert opened.value["goods"] == TEXTS[3]
    until(lambda: trade.regulator.holds(trade.terms), "the terms at the regulator's node")
    assert trade.regulator.value(trade.terms)["reference"] == TEXTS[0]
    net.start(trade.buyer.node, trade.seller.node)
    net.network.wait_ready(net.nodes)
    until(lambda: trade.seller.holds(trade.terms), "the seller's vault")
    assert trade.drawing not in trade.seller.vault()
    assert trade.buyer.holds(trade.terms)


def written(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below a folder, and every key and value of its database, which compresses them."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(folder)), path.read_bytes()
    database = plyvel.DB(str(folder / CHAIN))
    try:
        for key, value in database:
            yield f"{CHAIN} {key[:40]!r}", key + value
    finally:
        database.close()


def forms() -> dict[str, Callable[[bytes], bool]]:
    """What is looked for: texts, and amounts as digits and as canonical bytes."""
    needles: dict[str, list[bytes]] = {text: [text.encode()] for text in TEXTS}
    for minor in AMOUNTS:
        shown = f"{minor // 100}.{minor % 100:02}"
        needles[str(minor)] = [str(minor).encode(), shown.encode(), encode(minor)]
    return {
        name: lambda raw, some=some: any(one in raw for one in some)  # type: ignore[misc]
        for name, some in needles.items()
    }


def test_no_block_log_or_disk_says_anything_of_it(trade: Trade, tell: Tell) -> None:
    """Not even the parties' nodes have written any of it in clear. Runs last: it stops the nodes.

    That each secret does stand in an opening, and that the search finds what is there, is shown by
    the openings' files and by a name that is public.
    """
    net, looked_for = trade.net, forms()
    kept = b"".join(path.read_bytes() for path in net.network.folder.rglob("openings/*.json"))
    erased = {TEXTS[6]}
    assert {name for name, stands in looked_for.items() if stands(kept)} == set(looked_for) - erased
    height = net.level()
    blocks = []
    with Client(trade.rival.node.url) as client:
        for one in range(1, height + 1):
            blocks.append((f"block {one}", client.sealed_block(one)))
            blocks.append((f"receipts {one}", client.receipts(one)))
    net.network.stop(net.nodes)
    searched = 0
    public = set()
    places = [("chain", iter(blocks))]
    places += [(node.name, written(net.network.folder / node.name)) for node in net.nodes]
    for place, found in places:
        for name, raw in found:
            searched += len(raw)
            said = [secret for secret, stands in looked_for.items() if stands(raw)]
            assert not said, f"{place}, {name}: {said}"
            if b"Public Rival" in raw:
                public.add(place)
    assert public == {node.name for node in net.nodes}
    tell(f"{searched:,} bytes of blocks, logs and disks: none of {len(looked_for)} secrets")
