"""Validators, nodes, parameters and code change by vote while the chain goes on."""

from __future__ import annotations

import random

import pytest
import trio

from consensus.block import SealedBlock
from consensus.params import Params
from consensus.transaction import Call, Transaction
from node.chain import Chain
from node.service import LocalService
from p2p.virtual import VirtualConditions
from tests.sampling import some
from tests.sim.governance import add_validator, addresses, admit, decide, deploy, notes
from tests.sim.world import GLN, World, consensus_key, run_world

PARAMS = Params(round_timeout_ms=1_000, empty_block_interval_ms=1_000)


def chain(world: World, name: str) -> Chain:
    return world.node(name).chain


async def submit(world: World, name: str) -> Transaction:
    tx = world.transaction()
    [answer] = await world.node(name).submit([tx.raw])
    assert answer.accepted, answer
    return tx


async def everywhere(world: World, txs: list[Transaction]) -> None:
    """Committed on every node that is up, once each."""

    def done() -> bool:
        return all(
            node.chain.blocks.position_of(tx.tx_id) is not None for node in world.up() for tx in txs
        )

    await world.until(done)
    world.check_agreement()


def names_at(world: World, name: str, height: int) -> tuple[set[str], set[str]]:
    """Who votes at a height and at the next, as the block's header says."""
    found = []
    block = chain(world, name).blocks.block(height)
    assert block is not None
    for digest in (block.header.validators_hash, block.header.next_validators_hash):
        validators = chain(world, name).blocks.validators(digest)
        assert validators is not None
        found.append({one.name for one in validators.members})
    return found[0], found[1]


def test_a_validator_joins_votes_and_leaves() -> None:
    async def scenario(world: World) -> None:
        world.start_all()
        joiner = world.add_machine("v4")
        alone = world.start("v4")
        await trio.sleep(5)
        assert alone.network.connected() == ()
        assert alone.chain.height == 0
        assert joiner.network_key not in alone.roster
        await world.reach(await admit(world, joiner), ["v4"])
        assert joiner.network_key in alone.roster
        assert not world.node("v4").engine.voting
        height = await add_validator(world, joiner)
        await world.reach(height + 1, list(world.machines))
        four, five = {"v0", "v1", "v2", "v3"}, {"v0", "v1", "v2", "v3", "v4"}
        assert names_at(world, "v4", height - 2) == (four, four)
        assert names_at(world, "v4", height - 1) == (four, five)
        assert names_at(world, "v4", height) == (five, five)
        assert alone.engine.voting
        # Of five, four decide: with one down, the new one's vote is needed.
        await world.crash("v0")
        await everywhere(world, [await submit(world, "v4")])
        world.start("v0")
        removed = await decide(world, "validator_remove", via="v2", name="v1")
        await world.reach(removed + 1, list(world.machines))
        assert not world.node("v1").engine.voting
        assert names_at(world, "v1", removed)[0] == five - {"v1"}
        # It goes on as a full node, and is not needed.
        await world.crash("v2")
        await everywhere(world, [await submit(world, "v1")])
        await world.crash("v1")
        await everywhere(world, [await submit(world, "v4")])
        world.start("v1")
        await everywhere(world, [await submit(world, "v1")])
        assert not world.node("v1").engine.voting
        # And may come back.
        again = await add_validator(world, world.machines["v1"], via="v3")
        await world.reach(again + 1, ["v1"])
        assert world.node("v1").engine.voting

    run_world(31, scenario, PARAMS)


@pytest.mark.parametrize("restart_at", [-2, -1, 0, 1])
def test_a_rotated_key_takes_over_at_its_height(restart_at: int) -> None:
    """Whenever the machine is restarted, it votes with the one key that counts, and only that."""

    async def scenario(world: World) -> None:
        world.start_all()
        await everywhere(world, [await submit(world, "v3")])
        machine = world.machines["v3"]
        await world.crash("v3")
        new = world.make_next_key("v3")
        world.start("v3")
        begun = chain(world, "v0").height + 12
        height = await decide(world, "validator_rotate", name="v3", consensus_key=new, height=begun)
        assert height == begun
        await world.reach(height + restart_at, ["v3"])
        await world.crash("v3")
        world.start("v3")
        await world.reach(height + 3, list(world.machines))
        assert machine.next_votes is not None
        before, after = machine.votes.data, machine.next_votes.data
        await world.crash("v0")  # of four, three decide: now v3 is needed
        await everywhere(world, [await submit(world, "v3")])
        assert machine.votes.data == before, "the old key is silent"
        assert machine.next_votes.data != after
        signer = world.node("v3").engine._signer
        assert signer is not None and signer.key == new
        # The rotation is finished: only the new key is left.
        await world.crash("v3")
        world.start("v0")
        machine.votes, machine.next_votes = machine.next_votes, None
        machine.seed_kind = "consensus next"
        world.start("v3")
        await world.crash("v1")
        await everywhere(world, [await submit(world, "v3")])

    run_world(32, scenario, PARAMS)


def test_parameters_hold_from_one_height_on_everywhere() -> None:
    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(1, ["v0"])
        # Where nobody hears of it waits a transaction that will be too long.
        keys = {name: machine.network_key for name, machine in world.machines.items()}
        world.network.partition((keys["v0"],), (keys["v1"], keys["v2"], keys["v3"]))
        large = world.transaction(Call("governance", "upload", {"text": "a" * 20_000}))
        [answer] = await world.node("v0").submit([large.raw])
        assert answer.accepted
        changes = {"tx_bytes_max": 10_000, "round_timeout_ms": 700, "block_txs_max": 5}
        height = await decide(world, "params", via="v1", changes=changes)
        await world.reach(height, ["v1", "v2", "v3"])
        world.network.heal()
        await world.reach(height + 1, ["v0", "v1", "v2", "v3"])
        for node in world.up():
            assert node.chain.params.tx_bytes_max == 10_000
            hashes = []
            for one in range(height - 3, height + 1):
                block = node.chain.blocks.block(one)
                assert block is not None
                hashes.append(block.header.params_hash)
            before, now = PARAMS.digest, node.chain.params.digest
            # Header H-1 names what judges block H.
            assert hashes == [before, before, now, now]
        assert world.node("v0").mempool.by_tx_id(large.tx_id) is None
        ended = world.node("v0").admission.ended.get(large.tx_id)
        assert ended is not None and ended[0] == "TX_LIMITS"
        txs = [await submit(world, "v1") for _ in range(12)]
        await everywhere(world, txs)
        largest = max(
            len(block.bodies)
            for one in range(height, chain(world, "v0").height + 1)
            if (block := chain(world, "v0").blocks.block(one)) is not None
        )
        assert largest <= 5

    run_world(33, scenario, PARAMS)


def test_an_upgrade_runs_everywhere_at_its_height() -> None:
    """With calls that wait for their time, a machine that is down, and one that comes late."""

    async def scenario(world: World) -> None:
        for name in ("v0", "v1", "v2", "v3"):
            world.make_vote_log(name)
            world.start(name)
        first = await deploy(world, notes(1))
        await world.reach(first, ["v0"])
        await world.call("v0", "notes", "write", id="a", text="one")
        await trio.sleep(5)
        await world.call("v0", "notes", "write", id="b", text="two")
        await world.crash("v1")
        second = await deploy(world, notes(2), height=chain(world, "v0").height + 8)
        assert world.ask("v0", "notes", "read", id="a") == "one"
        await world.reach(second, ["v0", "v2"])
        assert world.ask("v0", "notes", "read", id="a") == "one!"
        await world.call("v0", "notes", "write", id="c", text="three")
        await trio.sleep(5)
        world.start("v1")
        world.start("f0")
        await world.reach(chain(world, "v0").height, list(world.machines))
        world.check_agreement()
        for name in world.machines:
            assert world.ask(name, "notes", "read", id="c") == "three!"
            assert chain(world, name).registry.digest == chain(world, "v0").registry.digest
        hashes = []
        reminded = []
        for height in range(1, chain(world, "f0").height + 1):
            recorded = chain(world, "f0").blocks.recorded(height)
            assert recorded is not None
            hashes.append(recorded.block.header.contracts_hash)
            for receipt in recorded.receipts[len(recorded.block.bodies) :]:
                assert receipt.code == "OK", receipt
                reminded += [e.fields["id"] for e in receipt.events if e.name == "Reminded"]
        assert reminded == ["a", "b", "c"]
        assert len(set(hashes)) == 3
        changed = [n for n in range(1, len(hashes)) if hashes[n] != hashes[n - 1]]
        assert [n + 1 for n in changed] == [first, second], "a header names the code that ran"
        # A restart finds code and queue in the state.
        for name in list(world.machines):
            await world.crash(name)
            world.start(name)
        await world.call("v2", "notes", "write", id="d", text="four")
        assert world.ask("v2", "notes", "read", id="d") == "four!"

    run_world(34, scenario, PARAMS, full=1)


def test_clients_see_what_ran_without_a_transaction() -> None:
    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(await deploy(world, notes(1)), ["v0"])
        await world.call("v0", "notes", "write", id="a", text="one")
        node = world.node("v0")
        service = LocalService(node, world.machines["v0"].network_key, "v0")
        events = service.events((0, 0, 0), "notes", "Reminded")
        event = await anext(events)
        height, index, number = event.position
        assert event.tx_id is None
        assert event.fields == {"id": "a", "text": "one"}
        block = await service.block(height)
        assert block is not None
        (due,) = block["due"]
        assert (due["index"], due["code"]) == (index, "OK")
        assert index == len(block["txs"])
        assert due["events"][number] == "notes.Reminded"
        # From its own position on it comes again, from the next one on it does not.
        again = service.events((height, index, number), "notes", "Reminded")
        assert await anext(again) == event
        await again.aclose()
        await events.aclose()
        positions = service.positions(1)
        async for one in positions:
            shown = await service.block(one.height)
            assert shown is not None
            assert [tx_id.hex() for tx_id, _ in one.txs] == [tx["tx_id"] for tx in shown["txs"]]
            if one.height == height:
                break
        await positions.aclose()
        raw = await service.block_bytes(height)
        assert raw is not None
        assert SealedBlock.decode(raw) == node.chain.blocks.sealed(height)
        assert node.chain.blocks.sealed(0) is None
        first = await service.block_bytes(0)
        assert first is not None
        assert SealedBlock.decode(first).certificate is None
        assert await service.block_bytes(10**6) is None

    run_world(37, scenario, PARAMS)


def test_an_upgrade_that_fails_leaves_the_old_code() -> None:
    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(await deploy(world, notes(1)), ["v0"])
        await world.call("v0", "notes", "write", id="a", text="one")
        digest = chain(world, "v0").registry.digest
        height = await deploy(world, notes(2, failing=True))
        await world.reach(height, ["v0", "v1", "v2", "v3"])
        found = world.ask("v0", "governance", "proposal_list")[-1]
        assert (found["status"], found["failure"]) == ("FAILED", "NOT_TODAY")
        assert chain(world, "v0").registry.digest == digest
        await world.call("v0", "notes", "write", id="b", text="two")
        assert world.ask("v0", "notes", "read", id="a") == "one"
        await world.reach(await deploy(world, notes(3)), ["v0", "v1", "v2", "v3"])
        assert world.ask("v3", "notes", "read", id="a") == "one!"
        world.check_agreement()

    run_world(35, scenario, PARAMS)


def test_nodes_are_admitted_moved_and_removed() -> None:
    async def scenario(world: World) -> None:
        world.start_all()
        await world.reach(1, ["v0", "f0"])
        full = world.machines["f0"]
        moved = await decide(
            world, "node", network_key=full.network_key, name="f0", organisation=GLN,
            addresses=["elsewhere.example:7"],
        )  # fmt: skip
        await world.reach(moved, list(world.machines))
        for node in world.up():
            assert addresses(node.roster.peers())["f0"] == ("elsewhere.example:7",)
        gone = await decide(world, "node_remove", network_key=full.network_key)
        await world.reach(gone, ["v0", "v1", "v2", "v3"])
        await world.until(lambda: world.node("f0").network.connected() == ())
        height = world.node("f0").chain.height
        await everywhere_but(world, "f0", [await submit(world, "v0")])
        await trio.sleep(10)
        assert world.node("f0").chain.height <= max(height, gone)
        await world.reach(await admit(world, full), ["f0"])
        await everywhere(world, [await submit(world, "f0")])

    run_world(36, scenario, PARAMS, full=1)


async def everywhere_but(world: World, left_out: str, txs: list[Transaction]) -> None:
    others = [machine for name, machine in world.machines.items() if name != left_out]
    await world.until(
        lambda: all(
            one.running.chain.blocks.position_of(tx.tx_id) is not None
            for one in others
            for tx in txs
        )
    )


@pytest.mark.parametrize("seed", some(range(41, 45)))
def test_everything_changes_while_things_go_wrong(seed: int) -> None:
    """Under load, with machines that die and wires that lose: nothing is lost, nothing forks."""

    async def scenario(world: World) -> None:
        rng = random.Random(seed)
        world.start_all()
        world.add_machine("v4")
        world.start("v4")
        txs: list[Transaction] = []
        over = trio.Event()

        async def load() -> None:
            while not over.is_set():
                names = [n for n, one in world.machines.items() if one.node is not None]
                txs.append(await submit(world, rng.choice(names)))
                await trio.sleep(0.2)

        async def trouble() -> None:
            while not over.is_set():
                name = rng.choice(["v1", "v2", "v3"])
                await trio.sleep(rng.uniform(0, 4))
                await world.crash(name)
                await trio.sleep(rng.uniform(0, 4))
                world.start(name)
                await trio.sleep(rng.uniform(1, 4))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(load)
            nursery.start_soon(trouble)
            await admit(world, world.machines["v4"])
            await trio.sleep(2)
            await world.reach(await deploy(world, notes(1)), ["v0"])
            await trio.sleep(2)
            await world.reach(await add_validator(world, world.machines["v4"]), ["v0"])
            await trio.sleep(2)
            await world.call("v0", "notes", "write", id="a", text="one")
            await world.reach(await deploy(world, notes(2)), ["v0"])
            await trio.sleep(2)
            changes = {"min_block_interval_ms": 50, "block_txs_max": 20}
            await world.reach(await decide(world, "params", changes=changes), ["v0"])
            await trio.sleep(2)
            await world.reach(await decide(world, "validator_remove", name="v1"), ["v0"])
            await trio.sleep(2)
            over.set()
        # What died with the one machine that had it, its client hands in again.
        for tx in txs:
            await world.node("v0").submit([tx.raw])
        await everywhere(world, txs)
        assert len(txs) > 50
        for name in world.machines:
            assert world.ask(name, "notes", "read", id="a") == "one!"
            names = {one.name for one in chain(world, name).validators.members}
            assert names == {"v0", "v2", "v3", "v4"}
        assert consensus_key("v1") not in chain(world, "v0").validators

    run_world(seed, scenario, PARAMS, conditions=VirtualConditions(loss=0.02))
