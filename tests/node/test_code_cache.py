"""Compiled contracts kept between processes: the same code, or made anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.runtime import loader
from contracts.runtime.package import Package
from contracts.runtime.registry import builtin_packages
from contracts.runtime.steps import Meter
from node import code_cache
from node.code_cache import CodeFolder, use_code_cache


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    before = list(loader._keepers)
    path = tmp_path / "cache"
    loader.keep_in(CodeFolder(path))
    yield path
    loader._keepers[:] = before


def usage() -> Package:
    (found,) = [one for one in builtin_packages() if one.name == "usage"]
    return found


def loaded_anew(monkeypatch: pytest.MonkeyPatch, *, compiling: bool) -> Any:
    monkeypatch.setattr(loader, "_compiled", {})
    if not compiling:
        monkeypatch.setattr(loader, "understand", None)
    return loader.load(usage(), Meter())


def test_what_was_compiled_once_is_not_compiled_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = loaded_anew(monkeypatch, compiling=True)
    (entry,) = folder.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    again = loaded_anew(monkeypatch, compiling=False)
    assert first is not again
    methods = [name for name, value in vars(first).items() if callable(value)]
    assert methods
    for name in methods:
        assert vars(first)[name].__code__ == vars(again)[name].__code__
    assert len(list(folder.iterdir())) == 1
    assert entry.exists()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw: b"",
        lambda raw: raw[:-1],
        lambda raw: raw[:40] + bytes([raw[40] ^ 1]) + raw[41:],
        lambda raw: code_cache.sha256(b"no code") + b"no code",
    ],
)
def test_what_is_damaged_is_made_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch, spoil: Any
) -> None:
    loaded_anew(monkeypatch, compiling=True)
    (entry,) = folder.iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(spoil(whole))
    with monkeypatch.context() as patched, pytest.raises(TypeError):
        loaded_anew(patched, compiling=False)  # it does want to compile
    loaded_anew(monkeypatch, compiling=True)
    assert entry.read_bytes() == whole


def test_where_others_may_write_nothing_is_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded_anew(monkeypatch, compiling=True)
    folder.chmod(0o777)
    assert CodeFolder(folder).get(next(folder.iterdir()).name) is None
    with pytest.raises(TypeError):
        loaded_anew(monkeypatch, compiling=False)


def test_other_software_keeps_its_code_apart(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded_anew(monkeypatch, compiling=True)
    monkeypatch.setattr(loader, "_software", lambda: b"another release")
    loaded_anew(monkeypatch, compiling=True)
    assert len(list(folder.iterdir())) == 2


def test_the_oldest_make_room(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_cache, "FILES_MAX", 4)
    kept = CodeFolder(folder)
    for number in range(9):
        kept.put(f"{number}", b"%d" % number)
    assert len(list(folder.iterdir())) <= 4
    assert kept.get("8") == b"8"


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    kept = CodeFolder(tmp_path / "file" / "cache")
    kept.put("a", b"1")
    assert kept.get("a") is None


def test_it_stands_in_the_users_cache_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    use_code_cache()
    (keeper,) = loader._keepers
    assert isinstance(keeper, CodeFolder)
    assert keeper.folder == tmp_path / "xdg" / "hansa" / "contracts"
