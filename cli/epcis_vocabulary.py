"""Words of the Core Business Vocabulary 2.0, and the ways of writing them."""

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

_STEP_PREFIXES: Final = (
    "urn:epcglobal:cbv:bizstep:",
    "https://ref.gs1.org/cbv/BizStep-",
    "cbv:BizStep-",
)
_DISPOSITION_PREFIXES: Final = (
    "urn:epcglobal:cbv:disp:",
    "https://ref.gs1.org/cbv/Disp-",
    "cbv:Disp-",
)


def biz_step(text: str) -> str | None:
    """CBV's bare word, or another vocabulary's URI; None when it is neither."""
    return _word(text, _STEP_PREFIXES, BIZ_STEPS)


def disposition(text: str) -> str | None:
    """CBV's bare word, or another vocabulary's URI; None when it is neither."""
    return _word(text, _DISPOSITION_PREFIXES, DISPOSITIONS)


def _word(text: str, prefixes: tuple[str, ...], words: frozenset[str]) -> str | None:
    for prefix in prefixes:
        if text.startswith(prefix):
            word = text.removeprefix(prefix)
            return word if word in words else None
    return text if text in words or ":" in text.strip(":") else None
