"""Nodes whose software computes something else: caught, named, and the rest of the chain goes on.

``pytest tests/sim/test_divergence.py`` shows both cases of the operators' page: a validator that is
alone with its outcome stops with a report, and where no outcome has a quorum the transactions that
differ are held out.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest
import trio

from consensus.block import Content
from consensus.outcomes import Detail, Outcomes
from consensus.params import Params
from consensus.primitives.codec import encode
from consensus.primitives.crypto import public_key, sha256
from consensus.primitives.errors import LocalFault
from consensus.primitives.keys import encode_key
from consensus.transaction import Call, Transaction, TransactionBody
from contracts.runtime.package import Package, package_of
from contracts.runtime.registry import Registry, builtin_packages
from node import exchange, frames
from node.chain import Outcome
from node.exchange import Kept
from node.mempool import Pooled
from node.node import Node
from p2p.ports import Channel
from tests.node.test_engine import everywhere, has, leaves, lie
from tests.sim.world import World, run_world, seed_of

PARAMS = Params(round_timeout_ms=1_000, empty_block_interval_ms=3_000)
ALL = ["v0", "v1", "v2", "v3"]
ODD = "odd"
"""A label that other builds store in another way."""
ANY = "any"
executions = itertools.count()


# --- other builds ------------------------------------------------------------------------------


@functools.cache
def built(packages: tuple[Package, ...], build: str, *methods: str) -> Registry:
    """Contracts as another build runs them: named methods store any odd label with the build's
    name behind it, or, by the build ``ANY``, another label at each execution."""
    registry = Registry.of(packages)
    for name in methods:
        contract, called = name.split(".")
        module = registry.get(contract)
        assert module is not None
        method = module.methods[called]

        def odd(contract: Any, *, run: Any = method.function, **args: Any) -> Any:
            if args["label"].startswith(ODD):
                args["label"] += str(next(executions)) if build == ANY else build
            return run(contract, **args)

        method.function = odd
    return registry


def other_build(node: Node, build: str, *methods: str) -> None:
    """From now on this node's software is another build."""
    packages = tuple(node.chain.registry.packages)
    node.chain.registry = built(packages, build, *(methods or ("identity.add_key",)))


def relabelling_build(node: Node) -> None:
    """From now on this node's software alters a key's label with each change of its roles."""
    registry = Registry.of(node.chain.registry.packages)
    module = registry.get("identity")
    assert module is not None
    for name in ("grant_role", "revoke_role"):
        method = module.methods[name]

        def change(contract: Any, *, run: Any = method.function, **args: Any) -> Any:
            result = run(contract, **args)
            record = contract.keys.get(args["key"])
            record.label += "x"
            contract.keys.put(args["key"], record)
            return result

        method.function = change
    node.chain.registry = registry


def call(world: World, number: int, method: str, **args: Any) -> Transaction:
    admin = seed_of("admin")
    body = TransactionBody(
        1,
        world.document.chain_id,
        public_key(admin),
        (Call("identity", method, args),),
        world.machines["v0"].clock.wall_ms() + 300_000,
        1_000_000,
        sha256(b"salt %d" % number)[:16],
    )
    return body.signed(admin)


def key_of(number: int) -> bytes:
    return public_key(seed_of(f"labelled {number}"))


def labelled(world: World, number: int, label: str = ODD) -> Transaction:
    """The maker's administrator adds a key under a label."""
    return call(world, number, "add_key", key=key_of(number), label=label, roles=[])


async def hand_in(world: World, txs: list[Transaction], name: str = "v0") -> None:
    answers = await world.node(name).submit([tx.raw for tx in txs])
    assert all(answer.accepted for answer in answers), answers


class Forgetful(OrderedDict[bytes, Kept]):
    """Keeps no outcome."""

    def __setitem__(self, key: bytes, value: Kept) -> None:
        pass


def reports(world: World, name: str) -> list[dict[str, Any]]:
    files = world.machines[name].reports.files
    return [json.loads(data) for _, data in sorted(files.items())]


def counted(node: Node, kind: str) -> float:
    """The metric of divergences of a kind."""
    labels = {"kind": kind}
    return node.metrics.registry.get_sample_value("hansa_divergences_total", labels) or 0


def held_out(node: Node, tx: Transaction) -> bool:
    ended = node.admission.ended.get(tx.tx_id)
    return ended is not None and ended[0] == "TX_HELD_OUT"


# --- alone against a quorum --------------------------------------------------------------------


@pytest.mark.parametrize("late_s", [0, 0.3])
def test_a_validator_with_another_build_stops_and_its_report_names_the_cause(late_s: float) -> None:
    """Whether its own outcome comes before the others have decided or after."""

    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(1, ALL)
        node = world.node("v2")
        other_build(node, " of v2")
        execute = node.chain.execute

        async def slow(
            content: Content, bodies: list[Transaction], verified: set[bytes]
        ) -> Outcome:
            outcome = await execute(content, bodies, verified)
            await trio.sleep(late_s if bodies else 0)
            return outcome

        node.chain.execute = slow  # type: ignore[method-assign]
        odd = labelled(world, 1)
        txs = [labelled(world, 2, "plain"), odd, labelled(world, 3, "plain")]
        await hand_in(world, txs)
        with trio.fail_after(60):
            await world.machines["v2"].stopped.wait()
        (fault,) = leaves(world.machines["v2"].failure)
        assert str(fault).startswith("DIVERGED: ")
        for named in (odd.tx_id.hex(), "identity.add_key", "key identity.keys", "v0, v1, v3"):
            assert named in str(fault)
        (report,) = reports(world, "v2")
        first = report["first"]
        assert report["kind"] == "diverged" and report["this_node"] == "v2"
        assert first["tx_id"] == odd.tx_id.hex() and first["wire_id"] == odd.wire_id.hex()
        assert (first["calls"], first["contracts"]) == (["identity.add_key"], ["identity"])
        assert first["key"]["map"] == "keys"
        assert first["key"]["parts"] == [{"hex": key_of(1).hex()}]
        values = {one["validators"][0]: str(one["value"]) for one in first["results"]}
        assert "'odd of v2'" in values["v2"] and "'odd'" in values["v0"]
        assert len({one["value_hash"] for one in first["results"]}) == 2
        certified = next(one for one in report["outcomes"] if one["block"] == report["certified"])
        assert certified["validators"] == ["v0", "v1", "v3"]
        assert report["held_out"] == [] and report["differing"] == 1
        # The others have gone on, and go on.
        await everywhere(world, [*txs, labelled_plain := labelled(world, 4, "plain")][:-1])
        await hand_in(world, [labelled_plain], "v1")
        await everywhere(world, [labelled_plain])
        assert not any(held_out(one, odd) for one in world.up())
        told = sum(counted(world.node(name), "dissent") for name in ("v0", "v1", "v3"))
        assert told >= 1 or late_s
        # With the others' build, on the same disks, it follows.
        world.start("v2")
        await everywhere(world, [*txs, labelled_plain])

    run_world(1, scenario, PARAMS)


def test_a_full_node_with_another_build_stops_with_a_report_too() -> None:
    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(1, [*ALL, "f0"])
        other_build(world.node("f0"), " of f0")
        odd = labelled(world, 1)
        await hand_in(world, [odd])
        with trio.fail_after(60):
            await world.machines["f0"].stopped.wait()
        (report,) = reports(world, "f0")
        assert report["first"]["tx_id"] == odd.tx_id.hex()
        assert report["this_node"] == "this node"
        holders = {one["validators"][0] for one in report["first"]["results"]}
        assert holders == {"this node", "v0"}
        await everywhere(world, [odd])

    run_world(2, scenario, PARAMS, full=1)


def test_who_meets_an_old_block_learns_from_the_receipts_that_are_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The others keep what transactions wrote for a while only."""
    monkeypatch.setattr(exchange, "KEPT_MAX", 2)

    async def scenario(world: World) -> None:
        for name in ALL:
            world.make_vote_log(name)
            world.start(name)
        await world.reach(1, ALL)
        odd = labelled(world, 1)
        await hand_in(world, [labelled(world, 2, "plain"), odd])
        await everywhere(world, [odd])
        await world.reach(world.node("v0").chain.height + 4, ALL)
        other_build(world.start("f0"), " of f0")
        with trio.fail_after(60):
            await world.machines["f0"].stopped.wait()
        (fault,) = leaves(world.machines["f0"].failure)
        assert "its receipts differ in" in str(fault) and odd.tx_id.hex() in str(fault)
        (report,) = reports(world, "f0")
        first = report["first"]
        assert (first["tx_id"], first["contracts"]) == (odd.tx_id.hex(), ["identity"])
        assert first["key"] is None and "events" in first["receipt_differs"]
        assert "keys" in [key["map"] for key in first["keys_written"]]

    run_world(10, scenario, PARAMS, full=1)


def test_a_report_that_cannot_be_written_keeps_nobody_from_going_on() -> None:
    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(1, ALL)

        def fail(name: str, data: bytes) -> None:
            raise LocalFault("DISK_FULL", "no space left")

        for name in ALL:
            world.machines[name].reports.write = fail  # type: ignore[method-assign]
        for name in ("v1", "v2"):
            other_build(world.node(name), "x")
        odd, plain = labelled(world, 1), labelled(world, 2, "plain")
        await hand_in(world, [odd, plain])
        await everywhere(world, [plain])
        assert all(held_out(node, odd) for node in world.up())
        assert len(world.up()) == len(ALL)

    run_world(11, scenario, PARAMS)


# --- no quorum for any outcome -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("validators", "builds"),
    [
        (4, {"v1": "x", "v2": "x"}),
        (4, {"v1": "x", "v2": "y"}),
        (4, {"v0": "w", "v1": "x", "v2": "y", "v3": "z"}),
        (7, {"v1": "x", "v2": "x", "v3": "x"}),
    ],
)
def test_what_splits_the_vote_is_held_out_and_all_else_committed(
    validators: int, builds: dict[str, str]
) -> None:
    names = [f"v{index}" for index in range(validators)]

    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(1, names)
        for name, build in builds.items():
            other_build(world.node(name), build)
        odd = [labelled(world, number) for number in (3, 5)]
        # These change what an odd one wrote: their results differ through no fault of their own.
        dependent = [
            call(world, 20, "grant_role", key=key_of(3), role="corporate_admin"),
            call(world, 21, "revoke_key", key=key_of(5)),
        ]
        plain = [labelled(world, number, "plain") for number in range(10, 18)]
        await hand_in(world, [*plain[:4], odd[0], dependent[0], odd[1], *dependent[1:], *plain[4:]])
        began = trio.current_time()
        await everywhere(world, [*plain, *dependent])
        assert trio.current_time() - began < 10
        await hand_in(world, after := [labelled(world, 30, "plain")], "v3")
        await everywhere(world, after)
        for node in world.up():
            assert not any(has(node, tx) for tx in odd)
            assert all(held_out(node, tx) for tx in odd)
            assert not any(held_out(node, tx) for tx in [*plain, *dependent, *after])
        assert all(machine.failure is None for machine in world.machines.values())
        for name in names:
            told = reports(world, name)
            first = told[0]
            assert first["kind"] == "split" and first["certified"] is None
            assert first["first"]["tx_id"] == odd[0].tx_id.hex()
            assert first["first"]["key"]["map"] == "keys"
            assert sorted(first["held_out"]) == sorted(tx.tx_id.hex() for tx in odd)
            assert len(first["outcomes"]) == len({builds.get(one, "") for one in names})
            assert sorted(sum((one["validators"] for one in first["outcomes"]), [])) == names
        # One comparison was enough.
        assert all(len(reports(world, name)) == 1 for name in names)

    run_world(3, scenario, PARAMS, validators=validators)


def test_code_that_gives_something_else_each_time() -> None:
    """It agrees with nobody, not even with what it gave before a restart."""

    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(1, ALL)
        for name in ALL:
            other_build(world.node(name), ANY)
        odd, plain = labelled(world, 1), [labelled(world, number, "plain") for number in (2, 3)]
        await hand_in(world, [plain[0], odd, plain[1]])
        await world.until(lambda: bool(reports(world, "v1")))
        await world.crash("v1")
        other_build(world.start("v1"), ANY)
        await everywhere(world, plain)
        for name in ("v0", "v2", "v3"):
            assert held_out(world.node(name), odd)
        await hand_in(world, after := [labelled(world, 4, "plain")], "v1")
        await everywhere(world, after)
        assert not any(has(node, odd) for node in world.up())
        assert all(machine.failure is None for machine in world.machines.values())

    run_world(13, scenario, PARAMS)


def test_alone_with_code_that_gives_something_else_each_time() -> None:
    """It stops by what it voted for; executing once more could agree by chance."""

    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(1, ALL)
        other_build(world.node("v2"), ANY)
        odd = labelled(world, 1)
        await hand_in(world, [odd])
        with trio.fail_after(60):
            await world.machines["v2"].stopped.wait()
        (report,) = reports(world, "v2")
        ran = next(executions)
        mine = next(one for one in report["first"]["results"] if one["validators"] == ["v2"])
        assert f"'{ODD}{ran - 1}'" in str(mine["value"]), "its only execution is the one reported"
        await everywhere(world, [odd])

    run_world(14, scenario, PARAMS)


def test_many_that_depend_on_each_other_do_not_hold_up_the_rest() -> None:
    """Each reads what the one before left different, so they are found one by one."""

    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(1, ALL)
        await hand_in(world, [labelled(world, 0, "plain")])
        await everywhere(world, [labelled(world, 0, "plain")])
        for name in ("v1", "v2"):
            relabelling_build(world.node(name))
        changes = [("grant_role", "corporate_admin"), ("revoke_role", "corporate_admin")] * 3
        odd = [
            call(world, 50 + number, method, key=key_of(0), role=role)
            for number, (method, role) in enumerate(changes)
        ]
        plain = [labelled(world, number, "plain") for number in range(10, 16)]
        await hand_in(world, [*plain[:3], *odd, *plain[3:]])
        began = trio.current_time()
        await everywhere(world, plain)
        assert trio.current_time() - began < 2.5 * PARAMS.round_timeout_ms / 1000
        assert sum(held_out(world.node("v0"), tx) for tx in odd) < len(odd)
        for number in range(60, 70):
            tx = labelled(world, number, "plain")
            began = trio.current_time()
            await hand_in(world, [tx])
            await everywhere(world, [tx])
            assert trio.current_time() - began < 2.5 * PARAMS.round_timeout_ms / 1000
        # What is left of them depends on a change that is held out, and fails on every node alike.
        guilty, failing = odd[::2], odd[1::2]
        await everywhere(world, failing)
        for node in world.up():
            assert all(held_out(node, tx) and not has(node, tx) for tx in guilty)

    run_world(9, scenario, PARAMS)


def test_submitters_at_a_node_that_looks_on_are_told_too() -> None:
    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(1, [*ALL, "f0"])
        other_build(world.node("v1"), "x")
        other_build(world.node("v2"), "x")
        odd = labelled(world, 1)
        await hand_in(world, [odd], "f0")
        await world.until(lambda: held_out(world.node("f0"), odd))

    run_world(4, scenario, PARAMS, full=1)


# --- what runs by itself -----------------------------------------------------------------------


ALARM = """
\"\"\"Calls that wait for their time.\"\"\"

from __future__ import annotations

from typing import Annotated

from contracts.sdk import Contract, Int, Map, Text, call, timed


class Alarm(Contract):
    \"\"\"Rings when it is time.\"\"\"

    name = "alarm"
    version = 1

    rung = Map(str, key=("label",))

    @call
    def wake(self, time_ms: Annotated[int, Int(0, 2**62)], label: Annotated[str, Text(40)]) -> str:
        \"\"\"Ring at a time.\"\"\"
        return self.due(time_ms, "ring", label=label)

    @timed
    def ring(self, label: Annotated[str, Text(80)]) -> None:
        \"\"\"It is time.\"\"\"
        self.rung.put(label, "rung")
        self.emit("Rang", label=label)
"""


def with_alarm(world: World) -> None:
    """The world's chain has that contract too."""
    packages = (*builtin_packages(), package_of([("contracts/alarm.py", ALARM)]))
    world.document = dataclasses.replace(world.document, packages=packages)
    world.start_all()


async def wake(world: World, label: str, in_ms: int) -> None:
    time_ms = world.machines["v0"].clock.wall_ms() + in_ms
    await world.call("v0", "alarm", "wake", time_ms=time_ms, label=label)


def test_a_due_call_with_another_outcome_stops_the_one_that_is_alone() -> None:
    async def scenario(world: World) -> None:
        with_alarm(world)
        await world.reach(1, ALL)
        await wake(world, ODD, 2_000)
        other_build(world.node("v2"), "x", "alarm.ring")
        with trio.fail_after(60):
            await world.machines["v2"].stopped.wait()
        (fault,) = leaves(world.machines["v2"].failure)
        assert "DIVERGED" in str(fault) and "key alarm.rung" in str(fault)
        (report,) = reports(world, "v2")
        first = report["first"]
        assert first["tx_id"] is None
        assert (first["calls"], first["contracts"]) == (["alarm.ring"], ["alarm"])
        assert "events" in first["receipt_differs"]
        tx = labelled(world, 1, "plain")
        await hand_in(world, [tx])
        await everywhere(world, [tx])

    run_world(20, scenario, PARAMS)


def test_where_a_due_call_splits_the_vote_nothing_is_held_out_and_one_build_mends_it() -> None:
    """It runs before the transactions: some depend on it, none is to blame."""

    async def scenario(world: World) -> None:
        with_alarm(world)
        await world.reach(1, ALL)
        await wake(world, ODD, 2_000)
        for name in ("v1", "v2"):
            other_build(world.node(name), "x", "alarm.ring")
        await trio.sleep(3)
        height = world.node("v0").chain.height
        txs = [labelled(world, number, "plain") for number in range(4)]
        await hand_in(world, txs)
        await trio.sleep(30)
        assert world.node("v0").chain.height == height
        for name in ALL:
            told = reports(world, name)
            assert told and all(report["held_out"] == [] for report in told)
            assert all(report["first"]["contracts"] == ["alarm"] for report in told)
            assert not any(held_out(world.node(name), tx) for tx in txs)
        for name in ("v1", "v2"):
            await world.crash(name)
            world.start(name)
        await everywhere(world, txs)
        assert "rung" in str(world.node("v0").chain.state.get(encode_key("alarm", "rung", (ODD,))))

    run_world(21, scenario, PARAMS)


# --- validators that lie -----------------------------------------------------------------------


def altered(outcome: Outcome) -> Outcome:
    """An outcome in which every transaction has another receipt and other writes."""
    receipts = tuple(dataclasses.replace(one, steps_used=7) for one in outcome.receipts)
    header = dataclasses.replace(outcome.header, state_root=sha256(b"made up"))
    return dataclasses.replace(
        outcome,
        block=dataclasses.replace(outcome.block, header=header),
        receipts=receipts,
        write_sets=tuple(dict.fromkeys(one, b"\x07") for one in outcome.write_sets),
    )


def contrary(node: Node) -> None:
    """Votes for, and lists, an outcome of its own of everything."""
    execute = node.chain.execute

    async def made_up(content: Content, bodies: list[Transaction], verified: set[bytes]) -> Outcome:
        outcome = await execute(content, bodies, verified)
        return altered(outcome) if bodies else outcome

    node.chain.execute = made_up  # type: ignore[method-assign]


def two_faced(node: Node) -> None:
    """Votes as it executed, but lists other receipts and writes under the same block."""
    keep = node.engine.divergence.exchange.keep

    def kept(outcome: Outcome) -> None:
        keep(dataclasses.replace(altered(outcome), block=outcome.block))

    node.engine.divergence.exchange.keep = kept  # type: ignore[method-assign]


def inconstant(node: Node) -> None:
    """Votes as it executed, but lists another block."""
    keep = node.engine.divergence.exchange.keep
    node.engine.divergence.exchange.keep = (  # type: ignore[method-assign]
        lambda outcome: keep(altered(outcome))
    )


def vague(node: Node) -> None:
    """Tells no writes, which would hide where others' writes differ."""
    told = node.engine.divergence.exchange
    own_list = told.own_list

    async def without_writes(kept: Kept) -> Outcomes:
        found = dataclasses.replace(await own_list(kept), writes=())
        return found.signed(seed_of("v3 consensus"), found.header.chain_id)

    told.own_list = without_writes  # type: ignore[method-assign]


def test_a_liar_does_not_mislead_who_is_alone() -> None:
    """It voted with the others, but lists other results of everything."""

    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(1, ALL)
        other_build(world.node("v2"), "x")
        two_faced(world.node("v3"))
        odd = labelled(world, 1)
        await hand_in(world, [labelled(world, 2, "plain"), odd, labelled(world, 3, "plain")])
        with trio.fail_after(60):
            await world.machines["v2"].stopped.wait()
        (report,) = reports(world, "v2")
        assert report["first"]["tx_id"] == odd.tx_id.hex() and report["differing"] == 1

    run_world(15, scenario, PARAMS)


@pytest.mark.parametrize(
    ("liar", "builds"),
    [(contrary, "xy"), (two_faced, "xy"), (inconstant, "xy"), (inconstant, "xx"), (vague, "xy")],
)
def test_one_liar_cannot_have_others_transactions_held_out(
    liar: Callable[[Node], None], builds: str
) -> None:
    """Whatever v3 says of them, while v1 and v2 do diverge on one."""

    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(1, ALL)
        other_build(world.node("v1"), builds[0])
        other_build(world.node("v2"), builds[1])
        liar(world.node("v3"))
        odd = labelled(world, 1)
        plain = [labelled(world, number, "plain") for number in range(10, 20)]
        await hand_in(world, [*plain[:5], odd, *plain[5:]])
        honest = ["v0", "v1", "v2"]
        suspected: set[str] = set()
        seen_through = [(inconstant, "xx"), (vague, "xy")]
        await world.until(lambda: all(has(world.node(name), tx) for name in honest for tx in plain))
        for name in honest:
            assert held_out(world.node(name), odd) and not has(world.node(name), odd)
            assert not any(held_out(world.node(name), tx) for tx in plain)
            assert world.machines[name].failure is None
            told = [tx_id for report in reports(world, name) for tx_id in report["held_out"]]
            assert set(told) <= {odd.tx_id.hex()}
            false = {other for report in reports(world, name) for other in report["not_counted"]}
            suspected |= false
        assert suspected <= {"v3"}
        if (liar, builds) in seen_through:
            # With two outcomes only, the split is certain when v3 too has voted.
            assert suspected

    run_world(5, scenario, PARAMS)


def resigned(answer: bytes, name: str, **changed: Any) -> bytes:
    """A list with other fields, signed by a validator."""
    found = dataclasses.replace(Outcomes.decode(answer), **changed)
    return found.signed(seed_of(f"{name} consensus"), found.header.chain_id).raw


BAD_LISTS: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "no MessagePack": lambda _: b"\xc1" * 100,
    "another type": lambda _: encode(["list"]),
    "claims of many items": lambda _: b"\xdd\xff\xff\xff\xff" * 200,
    "too long": lambda _: bytes(Outcomes.bytes_max + 1),
    "an unsigned one": lambda raw: (
        dataclasses.replace(Outcomes.decode(raw), signature=bytes(64)).raw
    ),
    "another's signature": lambda raw: resigned(raw, "v2"),
    "another's name": lambda raw: resigned(raw, "v2", sender=public_key(seed_of("v2 consensus"))),
    "another content's": lambda raw: resigned(raw, "v3", content_hash=sha256(b"other")),
    "of unequal length": lambda raw: resigned(raw, "v3", writes=Outcomes.decode(raw).writes[1:]),
    "too short": lambda raw: resigned(raw, "v3", writes=(), receipts=()),
    "another height's": lambda raw: resigned(
        raw, "v3", header=dataclasses.replace(Outcomes.decode(raw).header, height=99)
    ),
}
BAD_WRITES: dict[str, Callable[[bytes], bytes]] = {
    "no MessagePack": lambda _: b"\xc1",
    "too long": lambda _: bytes(Detail.bytes_max + 1),
    "not those listed": lambda raw: dataclasses.replace(Detail.decode(raw), writes=()).raw,
    "values of other hashes": lambda raw: (
        dataclasses.replace(
            found := Detail.decode(raw),
            writes=tuple(dataclasses.replace(one, value=b"\x01") for one in found.writes or ()),
        ).raw
    ),
}
BAD_ANSWERS = [(frames.OUTCOMES, what) for what in BAD_LISTS]
BAD_ANSWERS += [(frames.WRITES, what) for what in BAD_WRITES]


@pytest.mark.parametrize(("kind", "what"), BAD_ANSWERS)
def test_answers_that_no_honest_validator_gives_cost_the_link(kind: int, what: str) -> None:
    """And nothing else: the odd transaction is found from the other lists."""

    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(1, ALL)
        for name, build in {"v1": "x", "v2": "y", "v3": "z"}.items():
            other_build(world.node(name), build)
        make = BAD_LISTS[what] if kind == frames.OUTCOMES else BAD_WRITES[what]
        asked = lie(world.node("v3"), kind, make)
        dropped: list[str] = []
        network = world.node("v0").network
        drop = network.drop

        def noted(peer: bytes, reason: str) -> None:
            assert peer == world.machines["v3"].network_key
            dropped.append(reason)
            drop(peer, reason)

        network.drop = noted  # type: ignore[method-assign]
        odd = labelled(world, 1)
        plain = [labelled(world, number, "plain") for number in range(10, 14)]
        await hand_in(world, [*plain[:2], odd, *plain[2:]])
        await everywhere(world, plain)
        await world.until(lambda: held_out(world.node("v0"), odd))
        assert asked
        assert dropped and dropped[0].startswith("OUTCOMES_INVALID")
        assert all(machine.failure is None for machine in world.machines.values())
        assert len(reports(world, "v0")) == 1

    run_world(6, scenario, PARAMS)


def test_who_tells_nothing_does_not_keep_a_report_from_its_key() -> None:
    """The next one is asked."""

    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(1, ALL)
        other_build(world.node("v2"), "x")
        silent = [name for name in ALL if name != "v2"][:2]
        for name in silent:
            node = world.node(name)

            async def never(peer: bytes, payload: bytes, *, honest: Any = node.on_request) -> Any:
                if payload[0] == frames.WRITES:
                    await trio.sleep_forever()
                return await honest(peer, payload)

            node.on_request = never  # type: ignore[method-assign]
        odd = labelled(world, 1)
        await hand_in(world, [odd])
        with trio.fail_after(20):
            await world.machines["v2"].stopped.wait()
        (report,) = reports(world, "v2")
        assert report["first"]["key"]["map"] == "keys"
        await everywhere(world, [odd])

    run_world(12, scenario, PARAMS)


def test_where_no_lists_come_ever_smaller_contents_find_it() -> None:
    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(1, ALL)
        for name, build in {"v1": "x", "v2": "x"}.items():
            other_build(world.node(name), build)
        for name in ALL:
            world.node(name).engine.divergence.exchange._kept = Forgetful()
        odd = labelled(world, 1)
        plain = [labelled(world, number, "plain") for number in range(10, 18)]
        await hand_in(world, [*plain[:4], odd, *plain[4:]])
        await everywhere(world, plain)
        await world.until(lambda: any(held_out(node, odd) for node in world.up()))
        assert not any(has(node, odd) for node in world.up())

    run_world(7, scenario, PARAMS)


def test_only_validators_say_what_is_held_out_and_one_liar_is_not_enough() -> None:
    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(1, [*ALL, "f0", "f1"])
        looks_on = world.machines["f0"].network_key
        for name in ALL[1:]:
            await world.crash(name)
        (waits,) = txs = [labelled(world, 1, "plain")]
        await hand_in(world, txs, "f0")
        node = world.node("f0")
        entry = node.mempool.get(waits.wire_id)
        assert isinstance(entry, Pooled)
        claim = frames.frame(frames.HELD_OUT, [waits.wire_id, sha256(b"unknown")])
        for _ in range(3):
            world.node("v0").network.send(looks_on, Channel.CHAIN, claim)
        world.node("f1").network.send(looks_on, Channel.CHAIN, claim)
        await world.until(lambda: world.machines["f1"].network_key not in node.network.connected())
        await trio.sleep(1)
        assert world.machines["v0"].network_key in node.network.connected()
        assert not held_out(node, waits) and entry.group_max is None
        world.start("v1")
        await world.until(
            lambda: world.node("v1").network.send(looks_on, Channel.CHAIN, claim), timeout_s=10
        )
        await world.until(lambda: held_out(node, waits))
        assert entry.group_max == 0

    run_world(8, scenario, PARAMS, full=2)
