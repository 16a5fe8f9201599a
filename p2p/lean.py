"""libp2p without what it imports beside the parts in use: QUIC, WebSocket, relays, hosts, autotls.

``import libp2p`` executes all of libp2p, which takes a node half a second and 600 modules to start,
and so does each of its parts, by its package's ``__init__``. Here the packages on the way are put
in place without executing theirs, and the one name that is wanted of QUIC is a class of nothing.
Imported before anything of libp2p. Where libp2p has been imported whole, that stays.
"""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Final

_PACKAGES: Final = ("libp2p", "libp2p.transport", "libp2p.security")
_QUIC: Final = "libp2p.transport.quic"


def _place(name: str, path: list[str], **names: object) -> None:
    module = ModuleType(name)
    module.__path__ = path
    module.__spec__ = ModuleSpec(name, None, is_package=True)
    module.__dict__.update(names)
    sys.modules[name] = module


def place_packages() -> None:
    spec = importlib.util.find_spec("libp2p")  # finds it without executing it
    if spec is None or spec.submodule_search_locations is None:
        return  # the import that follows says what is missing
    base = next(iter(spec.submodule_search_locations))
    for name in _PACKAGES:
        _place(name, [base + name.removeprefix("libp2p").replace(".", "/")])
    _place(_QUIC, [])
    _place(f"{_QUIC}.stream", [], QUICStream=type("QUICStream", (), {}))


if "libp2p" not in sys.modules:
    place_packages()
