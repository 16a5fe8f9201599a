"""The key-value store: one contract for LevelDB and memory, and each one's failings."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.primitives.errors import LocalFault
from node.store.held import HeldKV
from node.store.kv import KV, LevelKV
from node.store.memory import MemoryKV


@pytest.fixture(params=["level", "memory", "held"])
def kv(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KV]:
    stores: dict[str, Callable[[], KV]] = {
        "level": lambda: LevelKV(tmp_path / "a" / "db"),
        "memory": MemoryKV,
        "held": lambda: HeldKV(MemoryKV()),
    }
    store = stores[request.param]()
    yield store
    store.close()


def test_batches_put_and_delete(kv: KV) -> None:
    assert kv.get(b"a") is None
    kv.write([(b"a", b"1"), (b"b", b""), (b"c", b"3")], sync=True)
    kv.write([(b"a", b"2"), (b"c", None), (b"missing", None)], sync=False)
    assert (kv.get(b"a"), kv.get(b"b"), kv.get(b"c")) == (b"2", b"", None)
    kv.write([(b"a", None), (b"a", b"last"), (b"b", b"x"), (b"b", None)], sync=False)
    assert (kv.get(b"a"), kv.get(b"b")) == (b"last", None)
    kv.write([], sync=True)


def test_a_scan_is_in_key_order_and_leaves_its_stop_out(kv: KV) -> None:
    pairs = [(bytes((number,)), b"%d" % number) for number in range(10)]
    kv.write(reversed(pairs), sync=False)
    assert list(kv.scan(b"\x02", b"\x05")) == pairs[2:5]
    assert list(kv.scan(b"\x02", b"\x05", reverse=True)) == pairs[4:1:-1]
    assert list(kv.scan(b"\x05", b"\x05")) == []
    assert list(kv.scan(b"\x09\x00", b"\xff")) == []
    kv.write([(b"\x03", None), (b"\x02\xff", b"new")], sync=False)
    assert [key for key, _ in kv.scan(b"\x02", b"\x05")] == [b"\x02", b"\x02\xff", b"\x04"]


def test_a_running_scan_does_not_see_later_writes(kv: KV) -> None:
    kv.write([(b"a", b"1"), (b"b", b"1"), (b"c", b"1")], sync=False)
    scan = kv.scan(b"a", b"z")
    assert next(scan) == (b"a", b"1")
    kv.write([(b"b", b"2"), (b"c", None), (b"d", b"2")], sync=False)
    assert list(scan) == [(b"b", b"1"), (b"c", b"1")]
    assert list(kv.scan(b"a", b"z")) == [(b"a", b"1"), (b"b", b"2"), (b"d", b"2")]


@given(
    st.lists(
        st.dictionaries(st.binary(max_size=2), st.none() | st.binary(max_size=2), max_size=8),
        max_size=6,
    ),
    st.binary(max_size=2),
    st.binary(max_size=2),
)
def test_memory_is_an_ordered_dict(
    batches: list[dict[bytes, bytes | None]], start: bytes, stop: bytes
) -> None:
    kv = MemoryKV()
    model: dict[bytes, bytes] = {}
    for batch in batches:
        kv.write(batch.items(), sync=False)
        for key, value in batch.items():
            model.pop(key, None)
            if value is not None:
                model[key] = value
        expected = [(key, model[key]) for key in sorted(model) if start <= key < stop]
        assert list(kv.scan(start, stop)) == expected
        assert list(kv.scan(start, stop, reverse=True)) == expected[::-1]


def test_a_crash_of_memory_loses_what_was_not_synced() -> None:
    kv = MemoryKV()
    kv.write([(b"a", b"1"), (b"b", b"1")], sync=False)
    kv.write([(b"c", b"1")], sync=True)
    kv.write([(b"a", b"2"), (b"b", None), (b"d", b"2"), (b"d", b"3")], sync=False)
    kv.write([(b"a", b"3"), (b"e", b"3")], sync=False)
    kv.crash(batches_kept=1)
    assert list(kv.scan(b"", b"z")) == [(b"a", b"2"), (b"c", b"1"), (b"d", b"3")]
    kv.crash()
    assert kv.get(b"a") == b"2"
    kv.write([(b"a", b"4")], sync=False)
    kv.close()
    assert kv.get(b"a") == b"4"
    kv.crash()
    assert kv.get(b"a") == b"2"


def test_held_batches_are_read_at_once_and_reach_the_disk_as_one() -> None:
    disk = MemoryKV()
    kv = HeldKV(disk)
    kv.write([(b"a", b"1"), (b"b", b"1"), (b"c", b"1")], sync=True)
    kv.hold([(b"a", b"2"), (b"b", None), (b"d", b"2")])
    kv.hold([(b"a", b"3"), (b"e", b"3")])
    expected = [(b"a", b"3"), (b"c", b"1"), (b"d", b"2"), (b"e", b"3")]
    assert [kv.get(bytes([key])) for key in b"abcde"] == [b"3", None, b"1", b"2", b"3"]
    assert list(kv.scan(b"a", b"z")) == expected
    assert list(kv.scan(b"b", b"e", reverse=True)) == [(b"d", b"2"), (b"c", b"1")]
    disk.crash()
    assert list(disk.scan(b"a", b"z")) == [(b"a", b"1"), (b"b", b"1"), (b"c", b"1")]
    kv.write([(b"c", None), (b"e", b"4")], sync=True)
    disk.crash()
    assert list(disk.scan(b"a", b"z")) == [(b"a", b"3"), (b"d", b"2"), (b"e", b"4")]
    assert list(kv.scan(b"a", b"z")) == list(disk.scan(b"a", b"z"))


def test_what_is_held_waits_for_a_write_that_succeeds() -> None:
    class Full(MemoryKV):
        full = True

        def write(self, operations: Iterable[tuple[bytes, bytes | None]], *, sync: bool) -> None:
            if self.full:
                raise LocalFault("DISK_FULL", "no space")
            super().write(operations, sync=sync)

    disk = Full()
    kv = HeldKV(disk)
    kv.hold([(b"a", b"1")])
    assert fault(lambda: kv.write([(b"b", b"1")], sync=True)) == "DISK_FULL"
    assert (kv.get(b"a"), kv.get(b"b")) == (b"1", None)
    disk.full = False
    kv.write([], sync=True)
    assert list(disk.scan(b"", b"z")) == [(b"a", b"1")]


def test_level_keeps_what_was_written(tmp_path: Path) -> None:
    kv = LevelKV(tmp_path / "db")
    kv.write([(b"a", b"1")], sync=True)
    kv.close()
    again = LevelKV(tmp_path / "db")
    assert again.get(b"a") == b"1"
    again.close()


def fault(action: Callable[[], object]) -> str:
    with pytest.raises(LocalFault) as caught:
        action()
    return caught.value.code


def test_a_folder_is_open_once(tmp_path: Path) -> None:
    kv = LevelKV(tmp_path / "db")
    assert fault(lambda: LevelKV(tmp_path / "db")) == "STORE_LOCKED"
    with pytest.raises(LocalFault) as caught:
        LevelKV(tmp_path / "db")
    assert "b'" not in caught.value.message  # LevelDB's words, not Python's
    kv.close()
    LevelKV(tmp_path / "db").close()


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    kv = LevelKV(tmp_path / "db")
    kv.close()
    assert fault(lambda: kv.get(b"a")) == "STORE_IO"
    assert fault(lambda: kv.write([(b"a", b"1")], sync=True)) == "STORE_IO"
    assert fault(lambda: list(kv.scan(b"a", b"b"))) == "STORE_IO"


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert fault(lambda: LevelKV(tmp_path / "file")) == "STORE_IO"
    assert fault(lambda: LevelKV(tmp_path / "file" / "db")) == "STORE_IO"


@pytest.mark.parametrize("damaged", ["CURRENT", "MANIFEST-*"])
def test_a_damaged_store_is_told_from_an_empty_one(tmp_path: Path, damaged: str) -> None:
    kv = LevelKV(tmp_path / "db")
    kv.write([(b"a", b"1")], sync=True)
    kv.close()
    for file in (tmp_path / "db").glob(damaged):
        file.write_bytes(b"not what LevelDB wrote\n")
    assert fault(lambda: LevelKV(tmp_path / "db")) == "STORE_CORRUPT"


def test_a_damaged_table_is_found_when_read(tmp_path: Path) -> None:
    kv = LevelKV(tmp_path / "db")
    kv.write([(b"%04d" % number, os.urandom(64)) for number in range(2_000)], sync=True)
    kv.close()
    LevelKV(tmp_path / "db").close()  # recovering the log makes it a table
    (table,) = (tmp_path / "db").glob("*.ldb")
    raw = bytearray(table.read_bytes())
    raw[5_000] ^= 1
    table.write_bytes(raw)
    kv = LevelKV(tmp_path / "db")
    assert fault(lambda: list(kv.scan(b"0", b"9"))) == "STORE_CORRUPT"
    kv.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_a_full_disk(tmp_path: Path) -> None:
    kv = LevelKV(tmp_path / "db", write_buffer_bytes=1 << 16)
    for number in range(4, 20):  # the logs that LevelDB goes over to when one is full
        (tmp_path / "db" / f"{number:06}.log").symlink_to("/dev/full")

    def fill() -> None:
        for number in range(100):
            kv.write([(b"%d" % number, os.urandom(4_096))], sync=True)

    assert fault(fill) == "DISK_FULL"
    kv.close()


def test_a_snapshot_does_not_see_later_writes(kv: KV) -> None:
    kv.write([(b"a", b"1"), (b"b", b"1"), (b"c", b"1")], sync=False)
    first = kv.snapshot()
    kv.write([(b"b", b"2"), (b"c", None), (b"d", b"2")], sync=True)
    second = kv.snapshot()
    kv.write([(b"b", None)], sync=True)
    assert [first.get(key) for key in (b"a", b"b", b"c", b"d")] == [b"1", b"1", b"1", None]
    assert list(first.scan(b"a", b"z")) == [(b"a", b"1"), (b"b", b"1"), (b"c", b"1")]
    assert list(first.scan(b"a", b"c", reverse=True)) == [(b"b", b"1"), (b"a", b"1")]
    assert list(second.scan(b"a", b"z")) == [(b"a", b"1"), (b"b", b"2"), (b"d", b"2")]
    first.close()
    second.close()
    assert list(kv.scan(b"a", b"z")) == [(b"a", b"1"), (b"d", b"2")]
