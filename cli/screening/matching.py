"""How alike two names are, in whole per cent.

Names are brought to one form first: other scripts to Latin letters, accents and punctuation away,
words of legal form (LTD, OOO, S.A.) away, letters that transliterations differ in to one. Then
rapidfuzz compares them: letter by letter, with the words in order, and by the words they share.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from typing import Final

from cli.screening.lists import WEAK, ListedName, SanctionsList

THRESHOLD: Final = 85  # per cent
WEAK_THRESHOLD: Final = 100  # weak aliases hit when they are the whole name
HITS_MAX: Final = 50
NAME_LENGTH_MAX: Final = 400
REVISION: Final = 1  # of the rules below; with the library's version it names the algorithm

_FORMS: Final = """
    AB AE AG AKTIENGESELLSCHAFT AO AS ASA BHD BV CA CIA CO COMPANY CORP CORPORATION CV DOO EE EIRL
    EOOD EPE EURL FZC FZCO FZE FZLLC GMBH INC INCORPORATED JSC KFT KG KK LIMITADA LIMITED LLC LLP
    LP LTD LTDA NV OAO OHG OJSC OO OOD OOO OY OYJ PAO PJSC PLC PT PTE PTY PVT SA SAL SARL SAS SCA
    SCS SDN SE SL SP SPA SPOLKA SPRL SRL SRO UAB ZAO ZRT
"""
LEGAL_FORMS: Final = frozenset(_FORMS.split())
# Spellings of one sound in names that come from other scripts: the longest first.
_SAME_SOUND: Final = (
    ("SHCH", "SH"), ("SCH", "SH"), ("TCH", "CH"), ("TS", "C"), ("TZ", "C"), ("KH", "H"),
    ("ZH", "J"), ("DJ", "J"), ("DZH", "J"), ("PH", "F"), ("GH", "G"), ("CK", "K"), ("KS", "X"),
    ("OU", "U"), ("EE", "I"), ("OO", "U"), ("IY", "I"), ("YI", "I"), ("Y", "I"), ("J", "I"),
    ("W", "V"), ("Q", "K"),
)  # fmt: skip
_NOT_A_WORD: Final = re.compile(r"[^A-Z0-9]+")
_DOUBLED: Final = re.compile(r"([A-Z])\1+")


def algorithm() -> str:
    """What a decision cites."""
    library = f"rapidfuzz {version('rapidfuzz')}, anyascii {version('anyascii')}"
    return f"hansa-screen/{REVISION} ({library}) max(ratio, token_sort_ratio, token_set_ratio)"


@dataclass(frozen=True)
class Form:
    """A name in the forms that are compared. ``words`` are its own, ``sounds`` spelt one way."""

    words: tuple[str, ...]
    sounds: tuple[str, ...]

    @property
    def text(self) -> str:
        return " ".join(self.words)

    @property
    def sound(self) -> str:
        return " ".join(self.sounds)


@lru_cache(maxsize=1 << 15)
def form_of(name: str) -> Form:
    """A name's one form. A name of nothing but legal forms keeps them."""
    from anyascii import anyascii

    plain = anyascii(name[:NAME_LENGTH_MAX]).upper().replace("'", "").replace("`", "")
    plain = plain.replace("&", " AND ")
    # Initials and S.A., L.L.C.: letters with full stops between them are one word.
    plain = re.sub(r"\b([A-Z])\.(?=[A-Z]\b)", r"\1", plain)
    words = [word for word in _NOT_A_WORD.split(plain) if word]
    kept = [word for word in words if word not in LEGAL_FORMS] or words
    return Form(tuple(kept), tuple(_sound(word) for word in kept))


def _sound(word: str) -> str:
    for spelling, one in _SAME_SOUND:
        word = word.replace(spelling, one)
    return _DOUBLED.sub(r"\1", word)


def likeness(one: Form, other: Form) -> int:
    """0 to 100, rounded down. Symmetric."""
    return max(_likeness(one.text, other.text), _likeness(one.sound, other.sound))


def _likeness(one: str, other: str) -> int:
    from rapidfuzz import fuzz

    if not one or not other:
        return 0
    best = max(fuzz.ratio(one, other), fuzz.token_sort_ratio(one, other))
    first, second = set(one.split()), set(other.split())
    shared = first & second
    # All words of the shorter in the longer says much only where these are several and no mere
    # abbreviations.
    if len(shared) > 1 and sum(map(len, shared)) >= 8:
        best = max(best, fuzz.token_set_ratio(one, other) - 5 * abs(len(first) - len(second)))
    return int(best)


@dataclass(frozen=True)
class Hit:
    """A listed name that is like the one looked for."""

    listed: ListedName
    score: int  # per cent


def screen(names: Iterable[str], against: SanctionsList, threshold: int = THRESHOLD) -> list[Hit]:
    """The best hit of each entry at or above the threshold, best first, at most fifty.

    ``names`` are all that the party goes by.
    """
    forms = [form_of(name) for name in names]
    best: dict[str, Hit] = {}
    for listed in against.names:
        other = form_of(listed.name)
        score = max((likeness(form, other) for form in forms), default=0)
        least = max(threshold, WEAK_THRESHOLD) if listed.kind == WEAK else threshold
        known = best.get(listed.entry)
        if score >= least and (known is None or score > known.score):
            best[listed.entry] = Hit(listed, score)
    ordered = sorted(best.values(), key=lambda hit: (-hit.score, int(hit.listed.entry)))
    return ordered[:HITS_MAX]
