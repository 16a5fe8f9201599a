"""Codes of carriage: container and ship numbers with their check digits, and DCSA's code lists.

What is wrong with a number is said in words, since it is mostly one mistyped character.
"""

from __future__ import annotations

from typing import Annotated, Final

from contracts.sdk import Choice, Text, refuse

LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS: Final = "0123456789"

# DCSA Track and Trace 2.2, and of 3.0 what it adds to the same lists.
Mode = Annotated[str, Choice("VESSEL", "BARGE", "RAIL", "TRUCK", "AIR")]
Classifier = Annotated[str, Choice("ACT", "EST", "PLN")]
TransportCode = Annotated[str, Choice("DEPA", "ARRI")]
EquipmentCode = Annotated[
    str,
    Choice(
        "LOAD", "DISC", "GTIN", "GTOT", "STUF", "STRP", "PICK", "DROP", "INSP", "RSEA", "RMVD",
        "AVPU", "AVDO", "CROS", "CUSS", "CUSI", "CUSR",
    ),
]  # fmt: skip
ShipmentCode = Annotated[
    str,
    Choice(
        "RECE", "DRFT", "PENA", "PENU", "PENC", "REJE", "APPR", "ISSU", "SURR", "SUBM", "VOID",
        "CONF", "REQS", "CMPL", "HOLD", "RELS", "CANC",
    ),
]  # fmt: skip
DocumentCode = Annotated[
    str,
    Choice("CBR", "BKG", "SHI", "VGM", "SRM", "TRD", "ARN", "CAS", "CUS", "DGD", "OOG"),
]
DelayCode = Annotated[str, Text(3, 0, pattern="([A-Z]{3})?")]  # SMDG's list, kept by SMDG
SizeType = Annotated[str, Text(4, 4, pattern="[0-9A-Z]{4}")]  # ISO 6346: 22GP
Voyage = Annotated[str, Text(50, 0, pattern="[A-Z0-9./-]*")]
ContainerText = Annotated[str, Text(11, 0)]
VesselText = Annotated[str, Text(7, 0)]


def check_container(text: str) -> None:
    """Refuse with CONTAINER_NUMBER, and the reason, what is no ISO 6346 number.

    Owner (three letters), category (U, J or Z), serial (six digits), check digit: letters count
    from 10 without the multiples of 11, weights double from the left, mod 11, and 10 becomes 0.
    """
    if len(text) != 11:
        refuse("CONTAINER_NUMBER", f"{text} has {len(text)} characters, not 11")
    for letter in text[:4]:
        if letter not in LETTERS:
            refuse("CONTAINER_NUMBER", f"{text}: owner and category are four letters A to Z")
    if text[3] not in "UJZ":
        refuse("CONTAINER_NUMBER", f"{text}: category {text[3]} is none of U, J and Z")
    for digit in text[4:]:
        if digit not in DIGITS:
            refuse("CONTAINER_NUMBER", f"{text}: serial and check digit are seven digits")
    total = 0
    weight = 1
    for letter in text[:10]:
        if letter in DIGITS:
            value = DIGITS.find(letter)
        else:
            place = LETTERS.find(letter)
            value = 10 + place + (place + 9) // 10
        total += value * weight
        weight = 2 * weight
    digit = f"{total % 11 % 10}"
    if text[10] != digit:
        refuse("CONTAINER_NUMBER", f"{text}: the check digit would be {digit}, not {text[10]}")


def check_vessel(text: str) -> None:
    """Refuse with IMO_NUMBER, and the reason, what is no ship's number (IMO A.1117(30)).

    Seven digits; the last is the last of the sum of the others times 7, 6, 5, 4, 3, 2.
    """
    if len(text) != 7:
        refuse("IMO_NUMBER", f"{text} has {len(text)} characters, not 7")
    total = 0
    weight = 7
    for digit in text:
        if digit not in DIGITS:
            refuse("IMO_NUMBER", f"{text}: an IMO number is seven digits")
        if weight > 1:
            total += DIGITS.find(digit) * weight
            weight -= 1
    digit = f"{total % 10}"
    if text[6] != digit:
        refuse("IMO_NUMBER", f"{text}: the check digit would be {digit}, not {text[6]}")
