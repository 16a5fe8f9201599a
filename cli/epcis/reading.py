"""EPCIS documents of any form: which it is, and its events."""

from __future__ import annotations

from typing import Final

from cli.epcis.from_json import read_json
from cli.epcis.structure import DOCUMENT_BYTES_MAX, Read
from consensus.primitives.errors import InputError

_BLANKS: Final = b" \t\r\n"
_MARK: Final = b"\xef\xbb\xbf"  # UTF-8's byte order mark
_WIDE_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")  # UTF-16's, and UTF-32's


def read_events(raw: bytes) -> list[Read]:
    """The events of a document in JSON or XML, in order; those that can't be read say why.

    Raises InputError EPCIS_TOO_LARGE before anything is parsed, and what the readers raise.
    """
    if len(raw) > DOCUMENT_BYTES_MAX:
        raise InputError("EPCIS_TOO_LARGE", f"more than {DOCUMENT_BYTES_MAX} bytes")
    text = raw.removeprefix(_MARK).lstrip(_BLANKS)
    if not text:
        raise InputError("EPCIS_INVALID_JSON", "the file is empty")
    if raw.startswith(_WIDE_MARKS) or b"\0" in text[:4]:
        code = "EPCIS_INVALID_XML" if b"<" in raw[:8] else "EPCIS_INVALID_JSON"
        raise InputError(code, "it is UTF-16 or UTF-32: documents are read in UTF-8 alone")
    if text.startswith(b"<"):
        from cli.epcis.from_xml import read_xml

        return read_xml(raw)
    return read_json(raw)
