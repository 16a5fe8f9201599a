"""`db verify` names what is wrong; `db repair` makes again what follows from what is certain."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from consensus.primitives import tree
from consensus.primitives.codec import encode
from consensus.primitives.crypto import public_key, sha256
from contracts.sdk.commitments import SALT_BYTES, commit
from node.care.findings import nothing
from node.care.repair import repair
from node.care.state import root_of
from node.care.stats import stats_of_folder
from node.care.verify import verify
from node.files import FolderLock
from node.keystore import Cost, create_key
from node.setup import CHAIN, CONSENSUS_KEY, GENESIS, VAULT, VOTES
from node.store import schema
from node.store.mark import MarkedKV
from node.store.memory import MemoryKV
from node.store.retention import Retention
from node.store.schema import height_key
from node.store.state import StateStore
from node.vault.store import Held, VaultStore
from node.wal import create_vote_log
from tests.node.care_world import BLOCKS, checked, codes, contents, copied, make_folder, write
from tests.node.support import code_of
from tests.sim.world import seed_of

CHEAP = Cost(1, 1 << 20)
Damage = Callable[[dict[bytes, bytes]], dict[bytes, bytes | None]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import trio

    folder = tmp_path_factory.mktemp("care") / "node"
    trio.run(make_folder, folder)
    return folder


def test_a_whole_folder_has_nothing_wrong(whole: Path) -> None:
    found = checked(whole, execute=True)
    assert not found.findings
    assert (found.height, found.blocks, found.executed) == (BLOCKS, BLOCKS + 1, BLOCKS)
    assert found.transactions == 3 * BLOCKS and found.values > 100
    some = checked(whole, sample=5)
    assert not some.findings and some.blocks == 5


def first(pairs: dict[bytes, bytes], table: bytes, number: int = 0) -> bytes:
    return [key for key in sorted(pairs) if key[:1] == table][number]


def flipped(raw: bytes, at: int = -1) -> bytes:
    changed = bytearray(raw)
    changed[at] ^= 1
    return bytes(changed)


DAMAGE: dict[str, tuple[str, str, str, Damage]] = {
    # name: code, words of the place, whether repair mends it, what is done
    "a block is gone": (
        "DB_BLOCK_MISSING", "table b, height 5", "shorter",
        lambda _: {height_key(schema.BLOCK, 5): None},
    ),
    "a body is another's": (
        "DB_BLOCK_WRONG", "table b, height 4", "shorter",
        lambda found: {height_key(schema.BLOCK, 4): found[height_key(schema.BLOCK, 3)]},
    ),
    "a bit of a block": (
        "DB_BLOCK_WRONG", "table b, height 9", "shorter",
        lambda found: {height_key(schema.BLOCK, 9): flipped(found[height_key(schema.BLOCK, 9)])},
    ),
    "a seal": (
        "DB_CERTIFICATE_WRONG", "table c, height 6", "whole",
        lambda found: {
            height_key(schema.CERTIFICATE, 6): flipped(found[height_key(schema.CERTIFICATE, 6)])
        },
    ),
    "the newest certificate": (
        "DB_CERTIFICATE_WRONG", f"table c, height {BLOCKS}", "left",
        lambda _: {height_key(schema.CERTIFICATE, BLOCKS): None},
    ),
    "receipts": (
        "DB_RECEIPTS_WRONG", "table r, height 7", "whole",
        lambda found: {height_key(schema.RECEIPTS, 7): found[height_key(schema.RECEIPTS, 8)]},
    ),
    "no receipts": (
        "DB_RECEIPTS_WRONG", "table r, height 2", "whole",
        lambda _: {height_key(schema.RECEIPTS, 2): None},
    ),
    "a height by hash": (
        "DB_INDEX_WRONG", "table h, height", "whole",
        lambda found: {first(found, b"h"): None},
    ),
    "a transaction's place": (
        "DB_INDEX_WRONG", "table x, height", "whole",
        lambda found: {first(found, b"x"): bytes(12)},
    ),
    "an index of nothing": (
        "DB_STRAY", "table x", "whole", lambda _: {b"x" + sha256(b"?"): bytes(12)},
    ),
    "a key of no table": ("DB_STRAY", "key 7a7a", "whole", lambda _: {b"zz": b"?"}),
    "a validator set": (
        "DB_VALIDATORS_WRONG", "table w, set", "whole",
        lambda found: {first(found, b"w"): None},
    ),
    "a value": (
        "DB_STATE_WRONG", "table s, key", "whole",
        lambda found: {first(found, b"s", 30): flipped(found[first(found, b"s", 30)])},
    ),
    "a value is gone": (
        "DB_STATE_WRONG", "table s, key", "whole", lambda found: {first(found, b"s", 40): None},
    ),
    "a value of nobody": (
        "DB_STATE_WRONG", "table s, key", "whole", lambda _: {b"szz\x00zz\x00\x00": encode(1)},
    ),
    "a page": (
        "DB_PAGE_WRONG", "table p, path", "whole",
        lambda found: {first(found, b"p", 2): flipped(found[first(found, b"p", 2)])},
    ),
    "a page is gone": (
        "DB_PAGE_WRONG", "table p, path", "whole", lambda found: {first(found, b"p", 1): None},
    ),
    "a page that nothing leads to": (
        "DB_PAGE_WRONG", "table p, path", "whole",
        lambda found: {b"p\x0a" + bytes(6): found[first(found, b"p", 1)]},
    ),
    "the root": ("DB_PAGE_WRONG", "table p", "whole", lambda _: {b"m": None}),
    "the tip": ("DB_TIP_WRONG", "table t", "whole", lambda _: {schema.TIP: b"\x90"}),
    "header hashes": (
        "DB_INDEX_WRONG", "table y, height", "whole",
        lambda found: {first(found, b"y", 3): sha256(b"?")},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named_and_mended(whole: Path, tmp_path: Path, name: str) -> None:
    code, where, mended, damage = DAMAGE[name]
    folder = copied(whole, tmp_path / "node")
    before = contents(folder)
    write(folder, list(damage(before).items()))
    found = checked(folder).findings
    assert found.counts.keys() >= {code}, found.shown
    assert any(one.code == code and where in one.where for one in found.shown), found.shown
    result = repair(folder, nothing)
    assert result.did or mended == "left"
    if mended == "whole":
        assert result.whole, result.cannot
        assert contents(folder) == before, "as if nothing had been"
    elif mended == "shorter":
        assert result.whole, "every block before the lost one is certain"
        assert result.checked is not None
        height = result.checked.height
        assert height is not None and 0 < height < BLOCKS
        assert {key: value for key, value in contents(folder).items() if key[:1] in b"bh"} == {
            key: value for key, value in before.items()
            if (key[:1] == b"b" and key <= height_key(b"b", height))
            or (key[:1] == b"h" and int.from_bytes(value, "big") <= height)
        }  # fmt: skip
    else:
        assert not result.whole and result.cannot
    assert codes(folder) == (set() if mended != "left" else {code})


def test_the_state_is_judged_by_what_two_of_three_witnesses_say(
    whole: Path, tmp_path: Path
) -> None:
    folder = copied(whole, tmp_path / "node")
    before = contents(folder)
    key = first(before, b"s", 30)
    write(folder, [(key, flipped(before[key]))])
    (finding,) = [one for one in checked(folder).findings.shown if "key" in one.where]
    assert finding.where == f"table s, key {key[1:].hex()}" and finding.remedy == "replay"
    write(folder, [(key, before[key])])
    page = first(before, b"p", 2)
    write(folder, [(page, flipped(before[page]))])
    found = checked(folder).findings
    assert found.remedies == {"pages"} and found.counts.keys() == {"DB_PAGE_WRONG"}
    assert any(one.where == f"table p, path {page[1:-1].hex()}" for one in found.shown)


@pytest.mark.parametrize("count", [0, 1, 2, 5, 17, 300])
def test_the_root_from_values_in_order_is_the_trees(count: int) -> None:
    pairs = {sha256(b"%d" % n)[: 8 + n % 5] + b"\0": b"%d" % n for n in range(count)}
    state = StateStore(MemoryKV())
    expected = state.prepare(dict(pairs)).root
    assert root_of(sorted(pairs.items())) == expected
    assert (expected == tree.EMPTY_ROOT) is (count == 0)


def test_execution_finds_an_outcome_that_the_code_does_not_give(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything on the disk agrees with everything else; the machine computes something else."""
    from contracts.runtime.executor import BlockExecutor

    folder = copied(whole, tmp_path / "node")
    execute = BlockExecutor.execute

    def wrong(self: Any, tx: Any) -> Any:
        receipt = execute(self, tx)
        object.__setattr__(receipt, "steps_used", receipt.steps_used + 1)
        receipt.__dict__.pop("raw", None)
        return receipt

    monkeypatch.setattr(BlockExecutor, "execute", wrong)
    assert codes(folder) == set()
    (finding,) = checked(folder, execute=True).findings.shown
    assert finding.code == "DB_OUTCOME_WRONG" and "block 1 " in finding.what


def test_a_running_nodes_folder_is_left_alone(whole: Path) -> None:
    lock = FolderLock(whole)
    lock.acquire()
    assert code_of(verify, whole, nothing) == "FOLDER_LOCKED"
    assert code_of(repair, whole, nothing) == "FOLDER_LOCKED"
    assert code_of(stats_of_folder, whole, nothing) == "FOLDER_LOCKED"
    lock.release()


def test_vote_logs_keys_and_the_vault_are_looked_at(whole: Path, tmp_path: Path) -> None:
    folder = copied(whole, tmp_path / "node")
    seed = seed_of("v0 consensus")
    create_vote_log(folder / VOTES, public_key(seed))
    create_key(folder / CONSENSUS_KEY, "words", kind="consensus", name="v0", seed=seed, cost=CHEAP)
    key = bytes(range(32))
    store = VaultStore(folder / VAULT, key)
    for number in range(3):
        salt = sha256(b"%d" % number)[:SALT_BYTES]
        store.put(Held(commit(salt, "text"), salt, "text", "acme", 1))
    assert codes(folder) == set()
    assert not verify(folder, nothing, vault_key=key).findings
    damaged = sorted((folder / VAULT).glob("*/*"))[1]
    damaged.write_bytes(flipped(damaged.read_bytes()))
    (finding,) = verify(folder, nothing, vault_key=key).findings.shown
    assert finding.code == "DB_VAULT_WRONG" and str(damaged) in finding.where
    damaged.write_bytes(b"")
    (finding,) = checked(folder).findings.shown
    assert finding.code == "DB_VAULT_WRONG" and str(damaged) in finding.where
    (folder / VAULT / "key-check").unlink()
    log = folder / VOTES / "votes.log"
    log.write_bytes(flipped(log.read_bytes()))
    (folder / CONSENSUS_KEY).write_text("{}")
    assert codes(folder) == {"DB_VAULT_WRONG", "DB_KEY_WRONG"}
    create_key(folder / "other.json", "words", kind="consensus", name="v0", seed=seed, cost=CHEAP)
    (folder / "other.json").replace(folder / CONSENSUS_KEY)
    assert codes(folder) == {"DB_VAULT_WRONG", "DB_VOTES_WRONG"}
    log.unlink()
    assert "DB_VOTES_WRONG" in codes(folder)


def test_folders_that_are_none(whole: Path, tmp_path: Path) -> None:
    assert code_of(verify, tmp_path, nothing) == "FILE_NOT_READABLE"
    (tmp_path / GENESIS).write_bytes((whole / GENESIS).read_bytes())
    assert code_of(verify, tmp_path, nothing) == "CHAIN_MISSING"
    assert code_of(repair, tmp_path, nothing) == "CHAIN_MISSING"
    assert code_of(stats_of_folder, tmp_path, nothing) == "CHAIN_MISSING"


def test_another_layout_or_chain_is_not_judged(whole: Path, tmp_path: Path) -> None:
    folder = copied(whole, tmp_path / "node")
    for value, code in ((b"\x63", "STORE_NEWER"), (b"\x03", "STORE_VERSION")):
        write(folder, [(schema.VERSION, value)])
        assert code_of(verify, folder, nothing) == code
    write(folder, [(schema.VERSION, schema.LAYOUT_VERSION), (schema.CHAIN_ID, bytes(32))])
    assert code_of(verify, folder, nothing) == "STORE_FOREIGN"


async def test_a_lost_end_is_found_and_gone_on_from(tmp_path: Path) -> None:
    folder = tmp_path / "node"
    await make_folder(folder)
    (log,) = [one for one in (folder / CHAIN).glob("*.log") if one.stat().st_size]
    log.write_bytes(log.read_bytes()[:-20])
    assert codes(folder) == {"DB_BEHIND"}
    assert code_of(MarkedKV, folder / CHAIN) == "STORE_BEHIND"
    result = repair(folder, nothing)
    assert result.whole and f"block {BLOCKS - 1}" in result.did[-1]
    assert checked(folder).height == BLOCKS - 1
    assert codes(folder) == set()


def test_a_lost_manifest_is_made_again(whole: Path, tmp_path: Path) -> None:
    folder = copied(whole, tmp_path / "node")
    before = contents(folder)
    (manifest,) = (folder / CHAIN).glob("MANIFEST-*")
    manifest.unlink()
    assert codes(folder) == {"DB_UNREADABLE"}
    result = repair(folder, nothing)
    assert result.whole and "new manifest" in result.did[0]
    assert contents(folder) == before
    assert (folder / "chain.before-repair-1").is_dir()


def test_a_pruned_folder_is_judged_by_what_it_keeps(tmp_path: Path) -> None:
    import trio

    folder = tmp_path / "node"
    trio.run(lambda: make_folder(folder, retention=Retention(True, 5)))
    found = checked(folder)
    assert not found.findings and (found.blocks, found.transactions) == (BLOCKS + 1, 3 * 5)
    assert not checked(folder, sample=3).findings
    assert codes(folder, execute=True) == {"DB_OUTCOME_WRONG"}, "it can't be executed"
    assert stats_of_folder(folder, nothing).oldest == BLOCKS - 4
    before = contents(folder)
    write(folder, [(first(before, b"h"), None), (first(before, b"x"), None), (b"~", b"?")])
    write(folder, [(first(before, b"y", 4), bytes(32))])
    assert codes(folder) == {"DB_INDEX_WRONG", "DB_STRAY"}
    assert repair(folder, nothing).whole
    assert contents(folder) == before
    write(folder, [(first(before, b"e", 3), None)])
    found = checked(folder)
    assert found.findings.shown[0].code == "DB_BLOCK_WRONG"
    assert "table e, height 3" in found.findings.shown[0].where
    assert not repair(folder, nothing).whole, "a header is nowhere else"


def test_an_archive_executes_blocks_one_by_one(whole: Path, tmp_path: Path) -> None:
    import trio

    folder = tmp_path / "node"
    trio.run(lambda: make_folder(folder, retention=Retention(states=True)))
    found = checked(folder, execute=True, sample=5)
    assert not found.findings and found.executed == 5
    every = checked(folder, execute=True, sample=100)
    assert not every.findings and every.executed == BLOCKS
    # An earlier value that is not the one of then gives another outcome, or no state at all.
    before = contents(folder)
    wrong = [key for key in before if key.startswith(b"fm")]
    write(folder, [(key, b"?" + before[key][1:]) for key in wrong[2:5]])
    write(folder, [(key, before[key][:-1] + b"?") for key in wrong[5:7]])
    found = checked(folder, execute=True, sample=100)
    assert set(found.findings.counts) == {"DB_OUTCOME_WRONG"} and found.executed < BLOCKS
    assert code_of(checked, whole, execute=True, sample=5) == "STATE_NOT_KEPT"


def test_statistics_count_everything(whole: Path) -> None:
    found = stats_of_folder(whole, nothing)
    pairs = contents(whole)
    for one in found.tables:
        mine = {key: value for key, value in pairs.items() if key[:1] == one.table.encode()}
        assert one.entries == len(mine)
        assert one.bytes == sum(len(key) + len(value) for key, value in mine.items())
    assert sum(one.entries for one in found.tables) == len(pairs)
    assert (found.height, found.oldest) == (BLOCKS, 1)
    assert found.folders["chain"] > 0 and found.free > 0
    assert json.loads(json.dumps(found.to_json()))["layout"] == schema.LAYOUT_VERSION[0]
