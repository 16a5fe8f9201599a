"""The node's settings: config.toml, overridden by the environment, overridden by flags.

Every setting stands once, in the sections below. ``[api] listen`` in the file is
``HANSA_API_LISTEN`` in the environment and ``--api-listen`` as a flag. All mistakes are reported at
once, each with where it came from: what is missing, misspelt, of the wrong type, out of range, or
unsafe (an API open to the network unasked, secret files that others may read).
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from consensus.primitives.errors import InputError
from node.store.retention import Retention
from p2p.ports import parse_address

FILE_NAME: Final = "config.toml"
FILE_BYTES_MAX: Final = 1 << 20
PREFIX: Final = "HANSA_"
# Shorter names for what every command has in common.
ALIASES: Final = {"HANSA_PASSPHRASE_FILE": ("node", "passphrase_file")}
_OTHERS: Final = ("HANSA_NODE_URL",)


def _listening(text: str) -> str:
    try:
        parse_address(text, listening=True)
    except InputError as error:
        raise ValueError(error.message) from None
    return text


def _host_port(text: str) -> str:
    try:
        parse_address(text)
    except InputError as error:
        raise ValueError(error.message) from None
    return text


ListenAddress = Annotated[str, AfterValidator(_listening)]
PeerAddress = Annotated[str, AfterValidator(_host_port)]
PathText = Annotated[str, Field(min_length=1, max_length=4096)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class NodeSection(Section):
    """Who this node is, and its files. Relative paths start at the data folder."""

    role: Annotated[
        Literal["validator", "full"],
        Field(description='"validator" votes; "full" follows, serves reads and submits'),
    ]
    name: Annotated[
        str, Field(max_length=64, description="shown in logs and to operators; may be empty")
    ] = ""
    genesis: Annotated[PathText, Field(description="the sealed genesis document")] = "genesis.json"
    network_key: Annotated[
        PathText, Field(description="the key this node speaks to peers with")
    ] = "keys/network.key.json"
    consensus_key: Annotated[PathText, Field(description="the key a validator votes with")] = (
        "keys/consensus.key.json"
    )
    vault_key: Annotated[
        PathText, Field(description="the key that openings are encrypted under at this node")
    ] = "keys/vault.key.json"
    passphrase_file: Annotated[
        str,
        Field(
            max_length=4096,
            description="file with the keys' passphrase in its first line; empty: the environment "
            "(HANSA_PASSPHRASE) or a prompt",
        ),
    ] = ""


class NetworkSection(Section):
    """The way to the peers. Only keys that the consortium admitted are spoken to."""

    listen: Annotated[ListenAddress, Field(description="ip:port for peers to connect to")] = (
        "0.0.0.0:8630"
    )
    peers: Annotated[
        dict[str, PeerAddress],
        Field(
            description='other addresses than the chain has: {name = "host:port"}',
            max_length=256,
        ),
    ] = {}


class ApiSection(Section):
    """The HTTP API for clients and operators: on loopback, or with a token and TLS."""

    listen: Annotated[ListenAddress, Field(description="ip:port; port 0 takes any free one")] = (
        "127.0.0.1:8640"
    )
    allow_remote: Annotated[
        bool,
        Field(
            description="another address than loopback without token and TLS: say that a firewall "
            "or proxy guards it"
        ),
    ] = False
    hosts: Annotated[
        list[str],
        Field(
            description="names that clients may call the API by, beside localhost and IP addresses",
            max_length=64,
        ),
    ] = []
    token_file: Annotated[
        str,
        Field(
            max_length=4096,
            description="file with the token that clients must show in its first line, 32 "
            "characters at least; empty: none",
        ),
    ] = ""
    tls_certificate: Annotated[
        str, Field(max_length=4096, description="PEM file, chain included; empty: no TLS")
    ] = ""
    tls_key: Annotated[
        str, Field(max_length=4096, description="PEM file with the certificate's key")
    ] = ""
    requests_per_s: Annotated[
        int,
        Field(
            ge=0,
            le=1_000_000,
            description="from one address, four seconds' worth at once; 0: no limit",
        ),
    ] = 1000


class LogSection(Section):
    """What is logged, and where to."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Field(description="debug, info, warning or error"),
    ] = "info"
    format: Annotated[
        Literal["json", "console"], Field(description="json for machines, console for people")
    ] = "json"
    file: Annotated[
        str, Field(max_length=4096, description="appended to; empty: standard error")
    ] = ""


class MempoolSection(Section):
    """Transactions that wait for a block; when it's full, submitters are told to retry."""

    txs_max: Annotated[
        int, Field(ge=1, le=1_000_000, description="how many transactions may wait")
    ] = 50_000
    bytes_max: Annotated[
        int, Field(ge=1 << 20, le=1 << 32, description="how many bytes they may have together")
    ] = 64 << 20


class HistorySection(Section):
    """What is kept beside the newest state and every header; as it stands, every block too."""

    archive: Annotated[
        bool, Field(description="keep every earlier state as well: it can be asked and proven")
    ] = False
    prune: Annotated[
        int,
        Field(
            ge=0,
            le=1 << 40,
            description="keep so many blocks, with the states after them; 0: every block. Blocks "
            "stay as long as their transactions may be valid",
        ),
    ] = 0

    snapshots: Annotated[
        int,
        Field(
            ge=0,
            le=1 << 40,
            description="make a snapshot for new nodes every so many blocks; 0: none",
        ),
    ] = 0

    @field_validator("prune")
    @classmethod
    def _no_archive(cls, prune: int, others: ValidationInfo) -> int:
        if prune and others.data.get("archive"):
            raise ValueError("an archive prunes nothing: set archive or prune")
        return prune

    @property
    def retention(self) -> Retention:
        return Retention(self.archive or self.prune > 0, self.prune)


class WorkersSection(Section):
    """Processes beside the node's own."""

    verify_processes: Annotated[
        int, Field(ge=0, le=32, description="for signatures; 0: verify in the node's own process")
    ] = 1


class NodeConfig(Section):
    """All settings, checked, and the data folder they belong to."""

    folder: Path
    node: NodeSection
    network: NetworkSection
    api: ApiSection
    log: LogSection
    mempool: MempoolSection
    history: HistorySection
    workers: WorkersSection

    def path(self, text: str) -> Path:
        """A configured path, taken from the data folder when it's relative."""
        return self.folder / Path(text).expanduser()

    @property
    def genesis_path(self) -> Path:
        return self.path(self.node.genesis)

    @property
    def network_key_path(self) -> Path:
        return self.path(self.node.network_key)

    @property
    def consensus_key_path(self) -> Path:
        return self.path(self.node.consensus_key)

    @property
    def vault_key_path(self) -> Path:
        return self.path(self.node.vault_key)

    @property
    def passphrase_path(self) -> Path | None:
        return self.path(self.node.passphrase_file) if self.node.passphrase_file else None

    @property
    def log_path(self) -> Path | None:
        return self.path(self.log.file) if self.log.file else None


SECTIONS: Final[dict[str, type[Section]]] = {
    "node": NodeSection,
    "network": NetworkSection,
    "api": ApiSection,
    "log": LogSection,
    "mempool": MempoolSection,
    "history": HistorySection,
    "workers": WorkersSection,
}
Name = tuple[str, str]
"""(section, setting)"""


def load(
    folder: Path,
    *,
    env: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
    check_files: bool = True,
) -> NodeConfig:
    """The settings of the node whose data folder this is.

    ``flags`` maps "section.setting" to a value (None: not given). ``check_files`` also wants the
    key and genesis files to be there. Raises InputError CONFIG_INVALID naming every mistake.
    """
    loader = _Loader(Path(folder))
    loader.read_file()
    loader.read_environment(os.environ if env is None else env)
    loader.read_flags(flags or {})
    return loader.finish(check_files)


class _Loader:
    """Gathers values, where each came from, and mistakes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.values: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
        self.sources: dict[Name, str] = {}
        self.mistakes: list[str] = []
        self.wrong: set[Name] = set()

    # --- the three sources -----------------------------------------------------------------------

    def read_file(self) -> None:
        path = self.folder / FILE_NAME
        try:
            if path.stat().st_size > FILE_BYTES_MAX:
                self.mistakes.append(f"{path}: larger than {FILE_BYTES_MAX} bytes")
                return
            text = path.read_text(encoding="utf-8")
            tables = tomllib.loads(text)
        except FileNotFoundError:
            self.mistakes.append(f"{path}: not found; make one with `hansa node init`")
            return
        except OSError as error:
            self.mistakes.append(f"{path}: can't be read ({error.strerror})")
            return
        except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
            self.mistakes.append(f"{path}: not TOML: {error}")
            return
        lines = _line_numbers(text)
        for section, table in tables.items():
            where = _at(path, lines.get((section, "")))
            if section not in SECTIONS:
                hint = _hint(section, list(SECTIONS))
                self.mistakes.append(f"{where}: there is no section [{section}]{hint}")
            elif not isinstance(table, dict):
                self.mistakes.append(f"{where}: [{section}] must be a section")
            else:
                for key, value in table.items():
                    source = f"{_at(path, lines.get((section, key)))} ([{section}] {key})"
                    self._put((section, key), value, source)

    def read_environment(self, env: Mapping[str, str]) -> None:
        for variable, name in ALIASES.items():
            if variable in env:
                self._put(name, env[variable], f"environment {variable}")
        for variable, text in sorted(env.items()):
            section, _, key = variable.removeprefix(PREFIX).lower().partition("_")
            if not variable.startswith(PREFIX) or not key or variable in _OTHERS:
                continue
            if section in SECTIONS:
                self._put_text((section, key), text, f"environment {variable}")

    def read_flags(self, flags: Mapping[str, Any]) -> None:
        for flag, value in flags.items():
            if value is None:
                continue
            section, _, key = flag.partition(".")
            source = "flag --" + flag.replace(".", "-").replace("_", "-")
            if section not in SECTIONS:
                self.mistakes.append(f"{source}: there is no such setting")
            elif isinstance(value, str):
                self._put_text((section, key), value, source)
            else:
                self._put((section, key), value, source)

    def _put(self, name: Name, value: Any, source: str) -> None:
        section, key = name
        fields = SECTIONS[section].model_fields
        if key not in fields:
            hint = _hint(key, list(fields))
            self.mistakes.append(f"{source}: there is no such setting{hint}")
            return
        self.values[section][key] = value
        self.sources[name] = source

    def _put_text(self, name: Name, text: str, source: str) -> None:
        field = SECTIONS[name[0]].model_fields.get(name[1])
        try:
            value: Any = _from_text(text, field.annotation) if field else text
        except ValueError as error:
            self.mistakes.append(f"{source}: {error}")
            self.wrong.add(name)
            return
        self.wrong.discard(name)
        self._put(name, value, source)

    # --- judging ---------------------------------------------------------------------------------

    def finish(self, check_files: bool) -> NodeConfig:
        sections: dict[str, Section] = {}
        for section, model in SECTIONS.items():
            try:
                sections[section] = model.model_validate(self.values[section])
            except ValidationError as error:
                self._note(section, error)
        self._check_api()
        if check_files:
            self._check_files()
        if self.mistakes:
            raise InputError(
                "CONFIG_INVALID",
                f"{len(self.mistakes)} mistake(s) in the configuration:\n  "
                + "\n  ".join(self.mistakes),
            )
        return NodeConfig.model_validate({"folder": self.folder, **sections})

    def _note(self, section: str, error: ValidationError) -> None:
        for item in error.errors(include_url=False, include_context=False):
            key, *inner = map(str, item["loc"])
            name = (section, key)
            if item["type"] == "missing" and name in self.wrong:
                continue  # given, but its text was already found wrong
            self.wrong.add(name)
            source = self.sources.get(name, f"{self.folder / FILE_NAME} ([{section}] {key})")
            at = "".join(f" {part}:" for part in inner)
            reason = item["msg"].removeprefix("Value error, ")
            if item["type"] == "missing":
                reason = "is missing"
            self.mistakes.append(f"{source}:{at} {reason}")

    def _valid(self, section: str, key: str) -> Any:
        """A setting's value or default; None when it is missing or wrong."""
        if (section, key) in self.wrong:
            return None
        field = SECTIONS[section].model_fields[key]
        default = None if field.is_required() else field.default
        return self.values[section].get(key, default)

    def _source(self, section: str, key: str) -> str:
        default = f"[{section}] {key} (default)"
        return self.sources.get((section, key), default)

    def _check_api(self) -> None:
        listen, allowed = self._valid("api", "listen"), self._valid("api", "allow_remote")
        if listen is None or allowed is None:
            return
        host, _ = parse_address(listen, listening=True)
        certificate, key = self._valid("api", "tls_certificate"), self._valid("api", "tls_key")
        if bool(certificate) != bool(key):
            self.mistakes.append(
                f"{self._source('api', 'tls_key' if key else 'tls_certificate')}: "
                "tls_certificate and tls_key belong together"
            )
        guarded = allowed or (certificate and self._valid("api", "token_file"))
        if not ipaddress.ip_address(host).is_loopback and not guarded:
            self.mistakes.append(
                f"{self._source('api', 'listen')}: {listen} is open to the network; use 127.0.0.1, "
                "or set token_file, tls_certificate and tls_key, or [api] allow_remote = true if a "
                "firewall or proxy guards it"
            )

    def _check_files(self) -> None:
        role = self._valid("node", "role")
        self._check_file("genesis", secret=False, mend="put the consortium's sealed document there")
        self._check_file("network_key", secret=True, mend="make it with `hansa node init`")
        if role == "validator":
            self._check_file("consensus_key", secret=True, mend="make it with `hansa keys new`")
        vault_key = self._valid("node", "vault_key")
        if vault_key and (self.folder / Path(vault_key).expanduser()).exists():
            self._check_file("vault_key", secret=True, mend="put it back")
        if self._valid("node", "passphrase_file"):
            self._check_file("passphrase_file", secret=True, mend="make it, or unset this")
        for name in ("token_file", "tls_certificate", "tls_key"):
            if self._valid("api", name):
                secret = name != "tls_certificate"
                mend = "make it, or unset this"
                self._check_file(name, secret=secret, mend=mend, section="api")

    def _check_file(self, key: str, *, secret: bool, mend: str, section: str = "node") -> None:
        text = self._valid(section, key)
        if text is None:
            return
        path = self.folder / Path(text).expanduser()
        source = self._source(section, key)
        try:
            mode = path.stat().st_mode
        except OSError as error:
            self.mistakes.append(f"{source}: {path}: {error.strerror}; {mend}")
            return
        if not stat.S_ISREG(mode):
            self.mistakes.append(f"{source}: {path} is not a file")
        elif secret and mode & 0o077:
            self.mistakes.append(
                f"{source}: {path} may be read or changed by others: chmod 600 {path}"
            )


# --- text ----------------------------------------------------------------------------------------

_BOOLS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def _from_text(text: str, annotation: Any) -> Any:
    """A value of a setting's type from the environment or a flag. Raises ValueError."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if annotation is bool:
        if text.lower() not in _BOOLS:
            raise ValueError(f"{text!r} is neither true nor false")
        return _BOOLS[text.lower()]
    if annotation is int:
        if not re.fullmatch(r"-?[0-9]{1,18}", text):
            raise ValueError(f"{text!r} is not a whole number")
        return int(text)
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if get_origin(annotation) is list:
        return parts
    if get_origin(annotation) is dict:
        pairs = [part.partition("=") for part in parts]
        if not all(name and value for name, _, value in pairs):
            raise ValueError(f"{text!r} is not name=value,name=value")
        return {name.strip(): value.strip() for name, _, value in pairs}
    return text


def _hint(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(known)}"


def _at(path: Path, line: int | None) -> str:
    return f"{path} line {line}" if line else str(path)


_HEADER: Final = re.compile(r"\s*\[\s*([A-Za-z0-9_-]+)\s*(?:\.\s*([A-Za-z0-9_-]+)\s*)?[\].]")
_KEY: Final = re.compile(r"\s*\"?([A-Za-z0-9_-]+)\"?\s*[.=]")


def _line_numbers(text: str) -> dict[Name, int]:
    """Where sections (under "") and keys stand; tomllib doesn't tell."""
    found: dict[Name, int] = {}
    section, in_table = "", False
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            section, key = header.group(1), header.group(2) or ""
            in_table = bool(key)
            found.setdefault((section, ""), number)
            found.setdefault((section, key), number)
        elif not in_table and (key_match := _KEY.match(line)):
            name = (section, key_match.group(1)) if section else (key_match.group(1), "")
            found.setdefault(name, number)
    return found


def default_text(values: Mapping[str, Mapping[str, Any]] | None = None) -> str:
    """A config.toml with every setting and what it means; ``values``: section -> setting -> value.

    Settings that keep their default stand there as comments.
    """
    given = values or {}
    lines = [
        "# Settings of a Hansa node. Those commented out show their default.",
        "# HANSA_SECTION_SETTING in the environment (HANSA_API_LISTEN) overrides this file.",
    ]
    for section, model in SECTIONS.items():
        lines += ["", f"# {model.__doc__}", f"[{section}]"]
        for key, field in model.model_fields.items():
            lines.append(f"# {field.description}")
            if key in given.get(section, {}):
                lines.append(f"{key} = {_toml(given[section][key])}")
            elif field.is_required():
                lines.append(f"# {key} =")
            else:
                lines.append(f"# {key} = {_toml(field.default)}")
    return "\n".join(lines) + "\n"


def write_default(path: Path, values: Mapping[str, Mapping[str, Any]] | None = None) -> None:
    """Write :func:`default_text` to a new file. Raises InputError FILE_EXISTS."""
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(default_text(values))
    except FileExistsError:
        raise InputError("FILE_EXISTS", f"{path} exists already and is left as it is") from None


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, dict):
        inner = ", ".join(f"{_toml(str(key))} = {_toml(item)}" for key, item in value.items())
        return "{" + f" {inner} " + "}" if inner else "{}"
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'
