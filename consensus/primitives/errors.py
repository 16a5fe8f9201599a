"""The exception tree. Every error has a stable code and says whose fault it is.

Codes are upper-case words joined by underscores. They are part of the public interface
(exit codes, receipts, HTTP answers): a code is never renamed or given a new meaning.
"""

from __future__ import annotations


class HansaError(Exception):
    """Base of all expected errors: a stable ``code`` and a sentence for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class PeerFault(HansaError):
    """Another node sent what no honest node sends. The peer is dropped, this node goes on."""


class TxRejected(HansaError):
    """A submitted transaction can't be taken; the code tells the submitter why.

    ``retry_after_ms`` is set when the same bytes may be accepted later.
    """

    def __init__(self, code: str, message: str, retry_after_ms: int | None = None) -> None:
        super().__init__(code, message)
        self.retry_after_ms = retry_after_ms


class LocalFault(HansaError):
    """This node's own disk, memory or configuration failed. The node stops, loudly."""


class InputError(HansaError):
    """A user's file, argument or passphrase is wrong. The command ends with a non-zero exit."""


class CodecError(HansaError):
    """Bytes that are not the one canonical encoding of a value of the expected type."""
