"""A chain whose validators, parameters and code change: who judges what, also after a restart."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from consensus import rules
from consensus.block import SealedBlock
from consensus.params import Params
from consensus.primitives.errors import LocalFault, PeerFault
from consensus.transaction import Call, Transaction
from contracts.runtime import registry
from contracts.runtime.package import Package
from contracts.runtime.registry import Registry, builtin_packages
from genesis.document import GenesisDocument
from node.chain import Chain, ContentRefused
from node.clock import InlineBlocking
from node.store.memory import MemoryKV
from node.workers import InlineVerifier
from tests.node.support import OneChain, code_of
from tests.node.test_proposer import contradiction
from tests.sim.governance import notes
from tests.sim.world import EPOCH_MS, document

PARAMS = Params(tx_window_ms=60_000)


def opened(one: GenesisDocument, kv: MemoryKV) -> Chain:
    return Chain(one, kv, InlineBlocking(), InlineVerifier())


# --- validators ----------------------------------------------------------------------------------


async def sealed_chain(blocks: int) -> tuple[OneChain, int, list[SealedBlock]]:
    """Five validators, the last one removed; (the chain, from which height, its blocks)."""
    one = OneChain(PARAMS, validators=5)
    height = await one.decide("validator_remove", name="v4")
    while one.chain.height < height + blocks:
        await one.commit([])
    found = [one.chain.blocks.sealed(number) for number in range(1, one.chain.height + 1)]
    return one, height, [sealed for sealed in found if sealed is not None]


async def test_every_certificate_is_judged_by_its_own_height_s_validators() -> None:
    ahead, height, blocks = await sealed_chain(2)
    behind = OneChain(PARAMS, validators=5)

    async def code(sealed: SealedBlock) -> str:
        with pytest.raises(PeerFault) as caught:
            await behind.chain.execute_sealed(sealed)
        return caught.value.code

    for sealed in blocks:
        number = sealed.block.height
        five = number < height
        behind_set = behind.chain.validators
        assert len(behind_set) == (5 if five else 4)
        assert sealed.block.header.validators_hash == behind_set.digest
        assert (sealed.block.header.next_validators_hash == behind_set.digest) == (
            number != height - 1
        )
        few = behind.certificate(number, sealed.block.hash, 3 if five else 2)
        assert await code(SealedBlock(sealed.block, few)) == "CERTIFICATE_INVALID"
        if not five:
            # The one who left signed too, at the place it had.
            assert sealed.certificate is not None
            marks = bytes([sealed.certificate.signers[0] | 1 << 4])
            left = dataclasses.replace(
                sealed.certificate,
                signers=marks,
                seals=(*sealed.certificate.seals, sealed.certificate.seals[0]),
            )
            assert await code(SealedBlock(sealed.block, left)) == "CERTIFICATE_INVALID"
        outcome = await behind.chain.execute_sealed(sealed)
        assert sealed.certificate is not None
        await behind.chain.commit(outcome, sealed.certificate)
        behind.chain = behind.open()
    assert behind.chain.hash == ahead.chain.hash
    for number in range(1, ahead.chain.height + 1):
        block = behind.chain.blocks.block(number)
        assert block is not None
        known = behind.chain.blocks.validators(block.header.validators_hash)
        assert known is not None
        assert len(known) == (5 if number < height else 4)


async def test_who_left_is_still_accused_of_what_it_signed_before() -> None:
    one, height, _ = await sealed_chain(1)
    chain_id = one.document.chain_id
    before = contradiction(chain_id, "v4", height - 1)
    after = contradiction(chain_id, "v4", height)
    assert one.chain.had_vote(before.sender, height - 1)
    with pytest.raises(ContentRefused):
        await one.execute([], evidence=(after,))
    await one.commit([], evidence=(before,))
    assert one.open().evidence_known(before.digest)


# --- parameters ----------------------------------------------------------------------------------


async def shortened(one: OneChain, until_ms: int = 55_000) -> Transaction:
    """A transaction valid for a minute is committed; then the window is made shorter than that,
    and block time goes on, within the minute."""
    long_lived = one.transaction(valid_until=EPOCH_MS + 60_000)
    await one.commit([long_lived], time_ms=EPOCH_MS)
    await one.decide("params", changes={"tx_window_ms": 10_000})
    for time_ms in (20_000, 40_000, until_ms):
        await one.commit([], time_ms=EPOCH_MS + time_ms)
    assert one.chain.params.tx_window_ms == 10_000
    return long_lived


async def test_a_shorter_window_forgets_no_transaction() -> None:
    """Valid for a minute when it was committed, it must not be committed again within it."""
    one = OneChain(PARAMS)
    long_lived = await shortened(one)
    for chain in (one.chain, one.open()):
        one.chain = chain
        with pytest.raises(ContentRefused) as caught:
            await one.execute([long_lived], time_ms=EPOCH_MS + 56_000)
        assert caught.value.code == "TX_DUPLICATE"
    later = one.transaction(valid_until=EPOCH_MS + 66_001)
    with pytest.raises(ContentRefused) as caught:
        await one.execute([later], time_ms=EPOCH_MS + 56_000)
    assert caught.value.code == "TX_TOO_FAR", "the new window holds for new ones"


async def test_mistake_tx_ids_are_remembered_for_a_window_and_not_until_they_expire(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Then a node that restarts after the window was made shorter soon takes what was committed
    before its start for over, and executes again what others refuse."""
    monkeypatch.setattr(rules, "longest_window_after", lambda *_args: None)
    one = OneChain(PARAMS)
    long_lived = await shortened(one, until_ms=40_001)
    running, one.chain = one.chain, one.open()
    await one.commit([], time_ms=EPOCH_MS + 55_000)
    assert running.committed(long_lived.tx_id)
    await one.execute([long_lived], time_ms=EPOCH_MS + 56_000)


async def test_limits_hold_from_their_block_on() -> None:
    one = OneChain(PARAMS)
    height = await one.decide("params", changes={"tx_bytes_max": 8_192})
    text = "# " + "a" * 9_000
    large = one.transaction(calls=(Call("governance", "upload", {"text": text}),))
    assert one.chain.height == height - 1
    with pytest.raises(ContentRefused) as caught:
        await one.execute([large])
    assert caught.value.code == "TX_TOO_LARGE"


# --- code ----------------------------------------------------------------------------------------


def other_release(packages: tuple[Package, ...]) -> tuple[Package, ...]:
    """The same contracts as another release words them."""
    changed = []
    for package in packages:
        *first, last = package.files
        text = last.text + "\n# as released\n"
        changed.append(
            dataclasses.replace(package, files=(*first, dataclasses.replace(last, text=text)))
        )
    return tuple(changed)


async def test_a_release_with_other_contracts_runs_the_chain_s_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    one = OneChain(PARAMS)
    packages = other_release(builtin_packages())
    one.document = dataclasses.replace(one.document, packages=packages)
    one.kv = MemoryKV()
    # Whatever sources this release has, nobody asks for them.
    monkeypatch.setattr(registry, "ROOT", tmp_path)
    builtin_packages.cache_clear()
    with pytest.raises(OSError):
        builtin_packages()
    one.chain = opened(one.document, one.kv)
    assert one.chain.header.contracts_hash == one.document.contracts_hash
    outcome = await one.commit([one.transaction()])
    assert outcome.receipts[0].code == "OK"
    again = opened(one.document, one.kv)
    assert again.registry.digest == Registry.of(packages).digest == again.header.contracts_hash
    assert {module.name for module in again.registry} == {one.name for one in packages}


async def test_an_activated_contract_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    one = OneChain(PARAMS)
    package = notes(1)
    upload = one.transaction(
        calls=(Call("governance", "upload", {"text": package.files[0].text}),),
        steps_max=10_000_000,
    )
    outcome = await one.commit([upload])
    assert outcome.receipts[0].code == "OK", outcome.receipts[0]
    height = await one.decide(
        "contract", name="notes", version=1, runtime=1,
        files=[{"path": "own/notes.py", "hash": package.files[0].sha256}],
    )  # fmt: skip
    before = one.chain.registry
    assert before.get("notes") is None
    write = one.transaction(calls=(Call("notes", "write", {"id": "a", "text": "one"}),))
    outcome = await one.commit([write])
    assert one.chain.height == height
    assert outcome.receipts[0].code == "OK", "new code runs from its first block's first call on"
    assert outcome.block.header.contracts_hash == one.chain.registry.digest != before.digest
    assert len(outcome.receipts) == 2, "the activation's own receipt comes last"
    assert len(outcome.write_sets) == 2
    recorded = one.chain.blocks.recorded(height)
    assert recorded is not None
    assert len(recorded.receipts) == 2
    assert len(recorded.tx_ids) == 1
    again = one.open()
    assert again.registry.get("notes") is not None
    assert again.registry.digest == one.chain.registry.digest
    # A release that has lost the runtime says so.
    monkeypatch.setattr(registry, "SUPPORTED_RUNTIMES", frozenset({7}))
    assert code_of(opened, one.document, one.kv) == "RUNTIME_UNKNOWN"


def test_a_document_for_a_newer_runtime() -> None:
    one = document(PARAMS, 4, 1)
    later = tuple(dataclasses.replace(package, runtime=200) for package in one.packages)
    with pytest.raises(LocalFault) as caught:
        opened(dataclasses.replace(one, packages=later), MemoryKV())
    assert caught.value.code == "RUNTIME_UNKNOWN"
    assert "200" in caught.value.message


def test_code_that_this_release_does_not_load() -> None:
    one = document(PARAMS, 4, 1)
    *others, last = one.packages
    file = dataclasses.replace(last.files[-1], text=last.files[-1].text + "import os\n")
    broken = dataclasses.replace(last, files=(*last.files[:-1], file))
    with pytest.raises(LocalFault) as caught:
        opened(dataclasses.replace(one, packages=(*others, broken)), MemoryKV())
    assert caught.value.code == "CONTRACT_REFUSED"
    assert file.path in caught.value.message


async def test_damaged_governance_state_is_noticed() -> None:
    one = OneChain(PARAMS)
    await one.commit([])
    assert isinstance(one.kv, MemoryKV)
    marks = (b"governance", b"packages"), (b"governance", b"params"), (b"governance", b"validators")
    for mark in marks:
        keys = [key for key in one.kv._data if key[:1] == b"s" and all(m in key for m in mark)]
        assert keys
        # A missing parameter is one that has its default.
        for value in (b"\xc1", b"\x90", None)[: 2 if mark[1] == b"params" else 3]:
            kv = MemoryKV()
            kv._data = dict(one.kv._data)
            kv.write([(key, value) for key in kept(keys)], sync=True)
            assert code_of(opened, one.document, kv) == "STORE_CORRUPT", (mark, value)


def kept(keys: list[bytes]) -> list[bytes]:
    """One is enough."""
    return sorted(keys)[:1]
