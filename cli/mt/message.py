"""A message in SWIFT's FIN form: five blocks, of which the fourth holds the fields.

Reading never stops at the first error: whatever is wrong becomes a finding with its field and line,
and what can still be read is. Bytes are bounded before they are looked at. Line ends are CR LF on
the network; a lone LF is read, too, and always CR LF is written.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from cli.mt.tables import TABLES
from consensus.primitives.errors import InputError

FILE_BYTES_MAX: Final = 1 << 20
MESSAGES_MAX: Final = 1_000
MESSAGE_CHARACTERS_MAX: Final = 32_768  # three times what the network takes; more isn't looked at
FORMAT: Final = "hansa-mt/1"

_ENVELOPE: Final = re.compile(
    r"\{1:(?P<basic>[^{}]*)\}\{2:(?P<application>[^{}]*)\}"
    r"(?:\{3:(?P<user>(?:\{[^{}]*\})*)\})?"
    r"\{4:\n(?P<text>.*?)(?<=\n)-\}"
    r"(?P<trailer>(?:\{5:(?:\{[^{}]*\})*\})?(?:\{S:(?:\{[^{}]*\})*\})?)",
    re.DOTALL,
)
_TAG: Final = re.compile(r":([0-9]{2}[A-Z]?):")
_TERMINAL: Final = "[A-Z0-9]{12}"
_BASIC: Final = re.compile(f"[A-Z][0-9]{{2}}({_TERMINAL})[0-9]{{10}}")
_INPUT: Final = re.compile(f"I([0-9]{{3}})({_TERMINAL})[SUN](?:[1-3](?:[0-9]{{3}})?)?")
_OUTPUT: Final = re.compile(f"O([0-9]{{3}})[0-9]{{10}}({_TERMINAL})[0-9]{{20}}[SUN]")
_PARTS: Final = r"(?:\{[A-Z0-9]{3}:[ -z|~]*\})*"
_USER: Final = re.compile(_PARTS)
_TRAILER: Final = re.compile(rf"(?:\{{5:{_PARTS}\}})?(?:\{{S:{_PARTS}\}})?")


@dataclasses.dataclass(frozen=True)
class Finding:
    """What is wrong, and where: the field's tag ("" for the whole) and its line in the text.

    ``network`` is what SWIFT's network would say, where that is known.
    """

    field: str
    line: int
    code: str
    message: str
    network: str = ""


@dataclasses.dataclass(frozen=True)
class Field:
    """One field: its tag, and its value with lines joined by ``\\n``."""

    tag: str
    value: str
    line: int = dataclasses.field(default=0, compare=False)


@dataclasses.dataclass(frozen=True)
class Message:
    """A message with its headers as they stand. ``number`` is "700" for an MT700.

    ``user`` is what block 3 holds; ``trailer`` the blocks 5 and S whole, where they are there.
    """

    number: str
    basic: str
    application: str
    fields: tuple[Field, ...]
    user: str = ""
    trailer: str = ""

    @property
    def sender(self) -> str:
        """The BIC that sent it."""
        return _bic(_terminal(self, sending=True))

    @property
    def receiver(self) -> str:
        """The BIC that gets it."""
        return _bic(_terminal(self, sending=False))

    def get(self, *tags: str) -> str:
        """The value of the first of these fields that is there, or ""."""
        return next((one.value for one in self.fields if one.tag in tags), "")

    def tag_of(self, *tags: str) -> str:
        """Which of these tags is there, or ""."""
        return next((one.tag for one in self.fields if one.tag in tags), "")

    @property
    def text(self) -> str:
        """The fields as block 4 holds them, CR LF at each line's end."""
        lines = "".join(f":{one.tag}:{one.value}\n" for one in self.fields)
        return lines.replace("\n", "\r\n")

    def to_bytes(self) -> bytes:
        """The whole message in FIN form."""
        user = f"{{3:{self.user}}}" if self.user else ""
        head = f"{{1:{self.basic}}}{{2:{self.application}}}{user}"
        return f"{head}{{4:\r\n{self.text}-}}{self.trailer}".encode("latin-1")

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "mt": self.number,
            "basic": self.basic,
            "application": self.application,
            "user": self.user,
            "fields": [{"tag": one.tag, "value": one.value} for one in self.fields],
            "trailer": self.trailer,
        }


@dataclasses.dataclass(frozen=True)
class Read:
    """One message of a file: as far as it could be read, and what was wrong with its form."""

    message: Message | None
    findings: tuple[Finding, ...]


def read_messages(raw: bytes) -> list[Read]:
    """All messages of a file: one after another, or parted by ``$``.

    Raises InputError MT_TOO_LARGE, MT_TOO_MANY, MT_EMPTY.
    """
    if len(raw) > FILE_BYTES_MAX:
        raise InputError("MT_TOO_LARGE", f"a file of messages has at most {FILE_BYTES_MAX} bytes")
    whole = raw.decode("latin-1").replace("\r\n", "\n")
    found: list[Read] = []
    for one in _parts(whole):
        if len(found) == MESSAGES_MAX:
            raise InputError("MT_TOO_MANY", f"a file has at most {MESSAGES_MAX} messages")
        found.append(one)
    if not found:
        raise InputError("MT_EMPTY", "no message in it")
    return found


def _parts(whole: str) -> Iterator[Read]:
    at = 0
    while True:
        while at < len(whole) and whole[at] in " \n$\x00\x01\x03":  # also what storage puts between
            at += 1
        if at == len(whole):
            return
        found = _ENVELOPE.match(whole, at, at + MESSAGE_CHARACTERS_MAX)
        if found is not None:
            yield _read(found)
            at = found.end()
        else:
            yield Read(None, (_no_envelope(whole[at : at + 64]),))
            following = whole.find("{1:", at + 1)
            at = len(whole) if following < 0 else following


def _no_envelope(start: str) -> Finding:
    if not start.startswith("{1:"):
        said = "a message begins with {1:"
    else:
        said = (
            "blocks {1:...}{2:...}, perhaps {3:...}, {4: to a line -}, perhaps {5:...}, "
            f"within {MESSAGE_CHARACTERS_MAX} characters"
        )
    return Finding("", 0, "MT_ENVELOPE", said)


def _read(found: re.Match[str]) -> Read:
    findings: list[Finding] = []
    fields = _fields(found["text"], findings)
    application = found["application"]
    header = _INPUT.fullmatch(application) or _OUTPUT.fullmatch(application)
    message = Message(
        application[1:4] if header is None else header[1],
        found["basic"],
        application,
        tuple(fields),
        found["user"] or "",
        found["trailer"],
    )
    return Read(message, (*header_findings(message), *findings))


def _fields(text: str, findings: list[Finding]) -> list[Field]:
    tags: list[tuple[str, int]] = []
    values: list[list[str]] = []
    for number, line in enumerate(text.split("\n")[:-1], 1):
        tag = _TAG.match(line)
        if tag is not None:
            tags.append((tag[1], number))
            values.append([line[tag.end() :]])
        elif not tags:
            findings.append(Finding("", number, "MT_TAG", "the text begins with a field, :27:"))
        else:
            if line.startswith(":"):
                said = "a line that begins with a colon is a field, :27: or :40A:"
                findings.append(Finding(tags[-1][0], number, "MT_TAG", said))
            values[-1].append(line)
    return [
        Field(tag, "\n".join(lines), number)
        for (tag, number), lines in zip(tags, values, strict=True)
    ]


def header_findings(message: Message) -> list[Finding]:
    """What is wrong with the blocks around the text."""
    findings = []
    if _BASIC.fullmatch(message.basic) is None:
        said = "block 1: F01, a terminal of 12 characters, session and sequence of 10 digits"
        findings.append(Finding("", 0, "MT_HEADER", said))
    if not (_INPUT.fullmatch(message.application) or _OUTPUT.fullmatch(message.application)):
        said = "block 2: I700, the receiver's terminal and the priority; or one of output"
        findings.append(Finding("", 0, "MT_HEADER", said))
    elif message.application[1:4] != message.number:
        said = f"block 2 says MT{message.application[1:4]}, not MT{message.number}"
        findings.append(Finding("", 0, "MT_HEADER", said))
    if _USER.fullmatch(message.user) is None:
        said = "block 3: parts such as {108:reference}"
        findings.append(Finding("", 0, "MT_HEADER", said))
    if _TRAILER.fullmatch(message.trailer) is None:
        said = "blocks 5 and S: parts such as {CHK:123456789ABC}"
        findings.append(Finding("", 0, "MT_HEADER", said))
    if message.number not in TABLES:
        known = ", ".join(f"MT{number}" for number in TABLES)
        said = f"MT{message.number[:8]} is none of {known}"
        findings.append(Finding("", 0, "MT_TYPE", said))
    return findings


def _terminal(message: Message, *, sending: bool) -> str:
    basic = _BASIC.fullmatch(message.basic)
    own = "" if basic is None else basic[1]
    outgoing = _INPUT.fullmatch(message.application)
    if outgoing is not None:
        return own if sending else outgoing[2]
    incoming = _OUTPUT.fullmatch(message.application)
    other = "" if incoming is None else incoming[2]
    return other if sending else own


def _bic(terminal: str) -> str:
    """A logical terminal's BIC: the ninth character names the terminal, XXX the main office."""
    branch = terminal[9:]
    return terminal[:8] + ("" if branch == "XXX" else branch)


def headers(number: str, sender: str, receiver: str) -> tuple[str, str]:
    """Blocks 1 and 2 of a new message that is to be sent. Session and sequence are the
    interface's to fill in."""
    return (
        f"F01{_terminal_of(sender, 'A')}0000000000",
        f"I{number}{_terminal_of(receiver, 'X')}N",
    )


def _terminal_of(bic: str, terminal: str) -> str:
    return f"{bic[:8]}{terminal}{bic[8:] or 'XXX'}"


def new_message(
    number: str, sender: str, receiver: str, fields: Sequence[tuple[str, str]]
) -> Message:
    """A message to be sent, its fields in the order of its table."""
    from cli.mt.tables import place_of

    basic, application = headers(number, sender, receiver)
    ordered = sorted(fields, key=lambda one: place_of(number, one[0]))
    made = tuple(Field(tag, value) for tag, value in ordered if value)
    return Message(number, basic, application, made)


def message_from_json(value: object) -> Message:
    """What ``to_json`` made. Raises InputError MT_JSON."""
    names = {"format", "mt", "basic", "application", "user", "fields", "trailer"}
    if not isinstance(value, dict) or set(value) != names or value["format"] != FORMAT:
        raise InputError("MT_JSON", f"a message in JSON has the format {FORMAT}")
    fields = value["fields"]
    if not isinstance(fields, list) or not all(
        isinstance(one, dict)
        and set(one) == {"tag", "value"}
        and all(isinstance(part, str) for part in one.values())
        and re.fullmatch(r"[0-9]{2}[A-Z]?", one["tag"])
        for one in fields
    ):
        raise InputError("MT_JSON", "each field has a tag and a value")
    texts = [value[name] for name in ("mt", "basic", "application", "user", "trailer")]
    if not all(isinstance(one, str) for one in texts):
        raise InputError("MT_JSON", "the headers are text")
    number, basic, application, user, trailer = texts
    made = tuple(Field(one["tag"], one["value"]) for one in fields)
    return Message(number, basic, application, made, user, trailer)
