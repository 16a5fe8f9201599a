"""Words of the Core Business Vocabulary 2.0, and the ways of writing them.

JSON has bare words (``shipping``), XML has URNs (``urn:epcglobal:cbv:bizstep:shipping``), and both
may have web URIs (``https://ref.gs1.org/cbv/BizStep-shipping``) or their compact form
(``cbv:BizStep-shipping``).
"""

from __future__ import annotations

from typing import Final

BIZ_STEPS: Final = frozenset(
    """
    accepting arriving assembling collecting commissioning consigning
    creating_class_instance cycle_counting decommissioning departing destroying
    disassembling dispensing encoding entering_exiting holding inspecting installing killing
    loading other packing picking receiving removing repackaging repairing replacing
    reserving retail_selling sampling sensor_reporting shipping staging_outbound
    stock_taking stocking storing transporting unloading unpacking void_shipping
    """.split()  # noqa: SIM905
)
DISPOSITIONS: Final = frozenset(
    """
    active available completeness_inferred completeness_verified conformant container_closed
    container_open damaged destroyed dispensed disposed encoded expired in_progress
    in_transit inactive mismatch_class mismatch_instance mismatch_quantity needs_replacement
    no_pedigree_match non_conformant non_sellable_other partially_dispensed recalled
    reserved retail_sold returned sellable_accessible sellable_not_accessible stolen
    unavailable unknown
    """.split()  # noqa: SIM905
)
REASONS: Final = frozenset(("did_not_occur", "incorrect_data"))
SENSOR_WORDS: Final = frozenset(("type", "exception", "component"))

CBV: Final = "https://ref.gs1.org/cbv/"
GS1: Final = "https://gs1.org/voc/"
EPCIS: Final = "https://ref.gs1.org/epcis/"
_URN: Final = "urn:epcglobal:cbv:"

# URN kind -> name in web URIs.
_KINDS: Final = {
    "bizstep": "BizStep-",
    "disp": "Disp-",
    "btt": "BTT-",
    "sdt": "SDT-",
    "er": "ER-",
}
# Field -> kind of its words. Types of transactions, sources and destinations by their list.
_FIELDS: Final = {
    "bizStep": "bizstep",
    "disposition": "disp",
    "reason": "er",
    "bizTransactionList": "btt",
    "sourceList": "sdt",
    "destinationList": "sdt",
}
_COMPACT: Final = {"cbv:": CBV, "gs1:": GS1, "epcis:": EPCIS}


def biz_step(text: str) -> str | None:
    """CBV's bare word, or another vocabulary's URI; None when it is neither (rule 14)."""
    return _known(text, "bizStep", BIZ_STEPS)


def disposition(text: str) -> str | None:
    """CBV's bare word, or another vocabulary's URI; None when it is neither (rule 14)."""
    return _known(text, "disposition", DISPOSITIONS)


def _known(text: str, field: str, words: frozenset[str]) -> str | None:
    word = bare(text, field)
    if word in words:
        return word
    # Another vocabulary's; what claims to be CBV's must be, but for its capitals.
    claims = text.startswith((_URN, CBV + _KINDS[_FIELDS[field]], "cbv:" + _KINDS[_FIELDS[field]]))
    return None if claims or ":" not in text.strip(":") else text


def bare(text: str, field: str) -> str:
    """The bare word of a field's vocabulary; texts of others as they are."""
    kind = _FIELDS[field]
    for prefix in (f"{_URN}{kind}:", CBV + _KINDS[kind], "cbv:" + _KINDS[kind]):
        if text.startswith(prefix):
            return text.removeprefix(prefix)
    return text


def urn(text: str, field: str) -> str:
    """A bare word as XML has it; texts with a colon as they are."""
    return text if ":" in text or not text else f"{_URN}{_FIELDS[field]}:{text}"


def web_uri(text: str) -> str:
    """URNs of CBV and EPCIS' own compact URIs as web URIs; other texts as they are."""
    if text.startswith(_URN):
        kind, _, word = text.removeprefix(_URN).partition(":")
        return f"{CBV}{_KINDS[kind]}{word}" if kind in _KINDS else text
    for prefix, uri in _COMPACT.items():
        if text.startswith(prefix):
            return uri + text.removeprefix(prefix)
    return text


def web_word(text: str, field: str) -> str:
    """A word of a field in any form as its web URI."""
    text = text.strip()
    if ":" in text or not text:
        return web_uri(text)
    if field in _FIELDS:
        return f"{CBV}{_KINDS[_FIELDS[field]]}{text}"
    if field == "component":
        return f"{CBV}Comp-{text}"
    return GS1 + text
