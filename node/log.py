"""Logs: one structlog set-up for the node and the libraries, as JSON lines or for people's eyes.

Own loggers live below ``hansa`` and obey the configured level. Everything else (hypercorn, libp2p,
and libp2p's calls to the root logger itself) is heard from WARNING on. Values under names such as
``passphrase`` or ``seed`` never reach the log, and bytes are shown as hex.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Final, Literal, cast

import structlog

from consensus.primitives.errors import InputError, LocalFault

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["json", "console"]
LEVELS: Final = ("debug", "info", "warning", "error")
FORMATS: Final = ("json", "console")

ROOT: Final = "hansa"
BYTES_SHOWN_MAX: Final = 64
HIDDEN: Final = "[hidden]"
_SECRET_WORDS: Final = ("passphrase", "password", "seed", "secret", "private_key", "signing_key")

Event = MutableMapping[str, Any]


def _hide_secrets(_logger: Any, _method: str, event: Event) -> Event:
    for name, value in event.items():
        if any(word in name.lower() for word in _SECRET_WORDS):
            event[name] = HIDDEN
        elif isinstance(value, bytes | bytearray):
            more = "..." if len(value) > BYTES_SHOWN_MAX else ""
            event[name] = bytes(value[:BYTES_SHOWN_MAX]).hex() + more
    return event


_SHARED: Final[list[Any]] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    _hide_secrets,
]

# At import, so that a logger used before configure() goes to the standard logging (warnings and
# worse to stderr) and not, as structlog has it, to stdout among a command's output.
structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        *_SHARED,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    wrapper_class=structlog.stdlib.BoundLogger,
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)


def get(name: str) -> structlog.stdlib.BoundLogger:
    """The logger ``hansa.<name>``: ``log.info("block committed", height=7)``."""
    return cast(structlog.stdlib.BoundLogger, structlog.get_logger(f"{ROOT}.{name}"))


def configure(level: str = "info", format: str = "json", file: str | Path | None = None) -> None:
    """Own the root logger: write to ``file`` (appending), or to stderr without one.

    May be called again; the last call counts. Raises InputError LOG_CONFIG for an unknown level or
    format, LocalFault LOG_FILE when the file can't be opened.
    """
    if level not in LEVELS or format not in FORMATS:
        raise InputError("LOG_CONFIG", f"unknown log level {level!r} or format {format!r}")
    handler: logging.Handler
    if file is None:
        handler = logging.StreamHandler(sys.stderr)
        colours = sys.stderr.isatty()
    else:
        try:
            handler = logging.FileHandler(file, encoding="utf-8")
        except OSError as error:
            raise LocalFault("LOG_FILE", f"can't write the log {file}: {error.strerror}") from None
        colours = False
    handler.setFormatter(_formatter(format, colours))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger(ROOT).setLevel(level.upper())
    logging.captureWarnings(True)
    # A full disk must not fill stderr with a traceback per line.
    logging.raiseExceptions = False
    adopt_libraries()


def adopt_libraries() -> None:
    """Route the libraries' own loggers to ours.

    Importing libp2p cuts its logger off from the root, so call this again after that import.
    """
    for name in ("libp2p", "hypercorn.error", "hypercorn.access", "py.warnings"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.WARNING)


def _formatter(format: str, colours: bool) -> logging.Formatter:
    last: list[Any]
    if format == "json":
        last = [
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ]
    else:
        last = [structlog.dev.ConsoleRenderer(colors=colours, timestamp_key="time")]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_SHARED, structlog.stdlib.ExtraAdder()],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )
