"""httpx, without the half that nobody here uses: a third of the time that a command takes to start.

What httpx and httpcore import if it is there (their own command with rich and pygments, pools for
asynchronous callers, HTTP/2) is made to look absent while they are loaded, and is whole afterwards.
"""

from __future__ import annotations

import sys

_absent = [one for one in ("httpx._main", "trio", "anyio", "h2") if one not in sys.modules]
sys.modules.update(dict.fromkeys(_absent))  # type: ignore[arg-type]  # None: importing it fails
try:
    import httpcore  # noqa: F401  # else loaded later, with the first client
    import httpx
finally:
    for _name in _absent:
        del sys.modules[_name]

__all__ = ["httpx"]
