"""How a contract says no."""

from __future__ import annotations

from typing import NoReturn

from consensus.primitives.errors import HansaError


class ContractError(HansaError):
    """A refusal by a contract: ``code`` and message enter the receipt, nothing else happens."""


class BadValue(ContractError):
    """A value that its field does not take. The text says why and enters BAD_ARGUMENT's detail."""

    def __init__(self, message: str) -> None:
        super().__init__("BAD_VALUE", message)

    def __str__(self) -> str:
        return self.message


def refuse(code: str, message: str) -> NoReturn:
    """Refuse the call. ``code`` is stable: UPPER_CASE words, never renamed; at most 64 letters."""
    raise ContractError(code, message)
