"""What a node keeps of its past."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Retention:
    """Beside every header and certificate. ``states``: those of all blocks that it keeps, not only
    of the last minutes. ``blocks``: how many blocks; 0 is all of them."""

    states: bool = False
    blocks: int = 0


EVERY_BLOCK: Final = Retention()
