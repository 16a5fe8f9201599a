import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consensus.primitives.errors import InputError, LocalFault
from node import log

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    root, libp2p = logging.getLogger(), logging.getLogger("libp2p")
    handlers, level = list(root.handlers), root.level
    propagate, libp2p_level = libp2p.propagate, libp2p.level
    for handler in handlers:
        root.removeHandler(handler)  # so that configure() doesn't close pytest's own
    yield
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)
    libp2p.propagate = propagate
    libp2p.setLevel(libp2p_level)
    logging.captureWarnings(False)
    logging.raiseExceptions = True


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_json_lines_append_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "node.log"
    for height in (1, 2):
        log.configure(level="info", format="json", file=path)
        log.get("chain").info("block committed", height=height)
    first, second = lines(path)
    assert (first["message"], first["level"], first["logger"]) == (
        "block committed",
        "info",
        "hansa.chain",
    )
    assert first["time"].endswith("Z")
    assert (first["height"], second["height"]) == (1, 2)


def test_the_level_filters_own_loggers(tmp_path: Path) -> None:
    path = tmp_path / "node.log"
    logger = log.get("level-test")
    for level in log.LEVELS:
        log.configure(level=level, file=path)
        for method in log.LEVELS:
            getattr(logger, method)(f"{level}/{method}")
    assert [line["message"] for line in lines(path)] == [
        f"{level}/{method}"
        for number, level in enumerate(log.LEVELS)
        for method in log.LEVELS[number:]
    ]


def test_libraries_are_heard_from_warning_on(tmp_path: Path) -> None:
    path = tmp_path / "node.log"
    libp2p = logging.getLogger("libp2p")
    libp2p.propagate = False  # as importing the library leaves it
    log.configure(level="debug", file=path)
    logging.getLogger("libp2p.network").info("dialling")
    logging.getLogger("libp2p.network").warning("dial %s failed", "x")
    logging.debug("a call to the root logger")
    logging.warning("another")
    logging.getLogger("hypercorn.error").error("Error in ASGI Framework")
    assert [(line["logger"], line["message"]) for line in lines(path)] == [
        ("libp2p.network", "dial x failed"),
        ("root", "another"),
        ("hypercorn.error", "Error in ASGI Framework"),
    ]


def test_secrets_are_hidden_and_bytes_are_hex(tmp_path: Path) -> None:
    path = tmp_path / "node.log"
    log.configure(file=path)
    log.get("keys").warning(
        "key loaded", passphrase="open sesame", node_seed=b"\x01" * 32, key=b"\xab\xcd", other=None
    )
    text = path.read_text()
    assert "sesame" not in text and "0101" not in text
    line = lines(path)[0]
    assert (line["passphrase"], line["node_seed"], line["key"]) == ("[hidden]", "[hidden]", "abcd")


def test_exceptions_are_one_json_line(tmp_path: Path) -> None:
    path = tmp_path / "node.log"
    log.configure(file=path)
    try:
        raise ValueError("wrong")
    except ValueError:
        log.get("api").exception("request failed")
    (line,) = lines(path)
    assert line["level"] == "error"
    assert "ValueError: wrong" in line["exception"]


def test_console_format_goes_to_stderr_without_colours_for_a_pipe() -> None:
    program = (
        "from node import log\n"
        "log.configure(level='info', format='console')\n"
        "log.get('chain').info('block committed', height=7)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    assert "block committed" in done.stderr and "height=7" in done.stderr
    assert "\x1b" not in done.stderr


def test_nothing_is_printed_to_stdout_before_configure() -> None:
    program = "from node import log; log.get('x').info('quiet'); log.get('x').warning('loud')"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    assert "loud" in done.stderr and "quiet" not in done.stderr


def test_bad_settings_and_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="LOG_CONFIG"):
        log.configure(level="chatty")
    with pytest.raises(InputError, match="LOG_CONFIG"):
        log.configure(format="xml")
    with pytest.raises(LocalFault, match="LOG_FILE"):
        log.configure(file=tmp_path / "missing" / "node.log")
