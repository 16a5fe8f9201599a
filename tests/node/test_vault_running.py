"""A node's vault at work, above a virtual clock: following, asking, answering, in trouble."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from consensus.primitives.codec import encode
from consensus.primitives.errors import HansaError, InputError, LocalFault
from node.roster import Roster
from node.vault.parcels import Opening, seal
from node.vault.vault import (
    ASK_AGAIN_MAX_MS,
    ASKS_AT_ONCE,
    ASKS_PER_SECOND,
    FAULT_PAUSE_MS,
)
from tests.node.vaults import IDS, Vaults

SOON_S = 0.1


@pytest.fixture
def world(tmp_path: Path) -> Vaults:
    return Vaults(tmp_path)


def run(world: Vaults, nursery: trio.Nursery, *names: str) -> None:
    for name in names:
        nursery.start_soon(world[name].vault.run)


async def test_what_a_block_shares_is_fetched_and_what_it_erases_is_destroyed(
    world: Vaults, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    terms = world["buyer"].write("terms")
    run(world, nursery, "buyer", "bank", "rival")
    await trio.sleep(SOON_S)
    await world.share("buyer", terms, "bank")
    await trio.sleep(SOON_S)
    held = world["bank"].store.get(terms)
    assert held is not None
    assert (held.value, held.author) == ("terms", IDS["buyer"])
    assert world["rival"].asked == []
    assert await world.call("bank", "erased", commitments=[terms], reason="REQUEST") == "OK"
    await trio.sleep(SOON_S)
    assert terms not in world["bank"].store
    assert terms in world["buyer"].store
    assert world["bank"].metrics.vault_missing._value.get() == 0


async def test_a_vault_that_starts_finds_what_was_shared_before(
    world: Vaults, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    terms = world["buyer"].write("terms")
    world["bank"].up = False
    await world.share("buyer", terms, "bank")
    world["bank"].up = True
    world["bank"].start()
    run(world, nursery, "bank")
    await trio.sleep(SOON_S)
    assert terms in world["bank"].store


async def test_what_nobody_has_is_asked_for_less_and_less_until_somebody_comes(
    world: Vaults, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    lost = world["rival"].write("lost")  # that is: at no entitled node
    await world.share("buyer", lost, "bank")
    run(world, nursery, "bank")
    await trio.sleep(3600)
    bank = world["bank"]
    assert 3600_000 / ASK_AGAIN_MAX_MS <= len(bank.asked) <= 3600_000 / ASK_AGAIN_MAX_MS + 10
    bank.asked.clear()
    bank.vault.connected()
    await trio.sleep(SOON_S)
    assert set(bank.asked) == {"buyer"}


async def test_a_peer_that_answers_with_nonsense_is_left_alone_for_a_while(
    world: Vaults, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    buyer, bank = world["buyer"], world["bank"]
    terms, other = buyer.write("terms"), buyer.write("other")
    held = buyer.store.get(other)
    assert held is not None
    wrong = seal(
        buyer.seed, buyer.key, bank.key, world.one.document.chain_id, 0,
        [Opening(other, held.salt, held.value)],
    )  # fmt: skip

    async def lie(peer: bytes, raw: bytes) -> bytes:
        return wrong

    truth = buyer.vault.answer
    buyer.vault.answer = lie  # type: ignore[method-assign]
    run(world, nursery, "bank")
    await world.share("buyer", terms, "bank")
    await trio.sleep(FAULT_PAUSE_MS / 2000)
    assert bank.asked == ["buyer"]
    assert bank.metrics.peer_faults.labels("VAULT_PARCEL")._value.get() == 1
    assert len(bank.store) == 0
    buyer.vault.answer = truth  # type: ignore[method-assign]
    await trio.sleep(FAULT_PAUSE_MS / 1000 + ASK_AGAIN_MAX_MS / 1000)
    assert terms in bank.store


async def test_a_peer_s_questions_have_a_rate(world: Vaults, autojump_clock: MockClock) -> None:
    terms = world["buyer"].write("terms")
    await world.share("buyer", terms, "bank")
    buyer, bank, rival = (world[name] for name in ("buyer", "bank", "rival"))

    async def asked(times: int) -> int:
        """How many of so many questions at once are answered."""
        done = 0
        for _ in range(times):
            try:
                assert await buyer.vault.answer(bank.key, encode([terms]))
                done += 1
            except HansaError as error:
                assert error.code == "VAULT_RATE"
        return done

    assert await asked(2 * ASKS_AT_ONCE) == ASKS_AT_ONCE
    await trio.sleep(2.0)
    assert await asked(ASKS_AT_ONCE) == 2 * ASKS_PER_SECOND
    await trio.sleep(3600.0)
    assert await asked(2 * ASKS_AT_ONCE) == ASKS_AT_ONCE
    assert await buyer.vault.answer(rival.key, encode([terms])) == b""  # each has its own


async def test_trouble_with_the_disk_is_logged_and_over_when_the_disk_is_well(
    world: Vaults, nursery: trio.Nursery, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = world["bank"]
    terms = world["buyer"].write("terms")
    with monkeypatch.context() as patched:

        def broken(_held: object) -> bool:
            raise LocalFault("VAULT_IO", "the disk is gone")

        patched.setattr(bank.store, "put", broken)
        run(world, nursery, "bank")
        await world.share("buyer", terms, "bank")
        await trio.sleep(10)
        assert terms not in bank.store
    await trio.sleep(2 * ASK_AGAIN_MAX_MS / 1000)
    assert terms in bank.store


async def test_a_node_that_is_admitted_later_looks_at_all_of_the_state_then(
    world: Vaults, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    bank = world["bank"]
    terms = world["buyer"].write("terms")
    members, validators = world.one.chain.members, world.one.chain.validators
    others = [one for one in members if one.network_key != bank.key]
    world.roster = Roster()
    world.roster.update(others, validators)
    bank.start()
    run(world, nursery, "bank")
    await world.share("buyer", terms, "bank")
    await trio.sleep(SOON_S)
    assert bank.vault.organisation == ""
    assert bank.asked == []
    world.roster.update(members, validators)
    world.tell([])  # the block that admitted it
    await trio.sleep(SOON_S)
    assert terms in bank.store


async def test_a_missing_opening_is_named_with_those_who_may_have_it(world: Vaults) -> None:
    buyer, bank, rival = (world[name] for name in ("buyer", "bank", "rival"))
    terms = buyer.write("terms")

    async def why(place: str) -> str:
        with pytest.raises(InputError, match=terms.hex()) as caught:
            await world[place].vault.get(terms)
        assert caught.value.code == "OPENING_MISSING"
        return caught.value.message

    assert "nobody has shared it" in await why("bank")
    await world.share("buyer", terms, "bank")
    assert f"who may have it: {IDS['buyer']}" in await why("bank")
    assert f"{IDS['rival']} is not entitled" in await why("rival")
    await world.call("bank", "erased", commitments=[terms], reason="OTHER")
    assert f"{IDS['bank']} has erased it" in await why("bank")
    await world.call("buyer", "erased", commitments=[terms], reason="OTHER")
    await world.share("buyer", terms, "rival")
    assert "nobody else" in await why("rival")
    held = buyer.store.get(terms)
    assert held is not None
    with pytest.raises(InputError) as caught:
        await bank.vault.put([held])
    assert caught.value.code == "ALREADY_ERASED"
    assert await rival.vault.put([held]) == 1  # handed over otherwise


async def test_what_was_dropped_is_not_fetched_before_its_receipt_stands(
    world: Vaults, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    terms = world["buyer"].write("terms")
    await world.share("buyer", terms, "bank")
    run(world, nursery, "bank")
    await trio.sleep(SOON_S)
    assert await world["bank"].vault.erase([terms]) == 1
    await trio.sleep(3600)
    assert terms not in world["bank"].store
