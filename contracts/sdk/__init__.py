"""What a contract author imports."""

from contracts.sdk.contract import Context, Contract, call, genesis, query
from contracts.sdk.dates import gs1_date, iso_date
from contracts.sdk.errors import BadValue, ContractError, refuse
from contracts.sdk.fields import (
    Bic,
    Blob,
    Bool,
    Choice,
    Code,
    Date,
    DocumentHash,
    Field,
    Gln,
    Gtin,
    Int,
    Lei,
    OrganisationId,
    PublicKey,
    Size,
    Sscc,
    Text,
    Timestamp,
)
from contracts.sdk.gs1 import Item, LotNumber, lot_path
from contracts.sdk.records import Quantity, Record
from contracts.sdk.state import Counter, Map

__all__ = [
    "BadValue",
    "Bic",
    "Blob",
    "Bool",
    "Choice",
    "Code",
    "Context",
    "Contract",
    "ContractError",
    "Counter",
    "Date",
    "DocumentHash",
    "Field",
    "Gln",
    "Gtin",
    "Int",
    "Item",
    "Lei",
    "LotNumber",
    "Map",
    "OrganisationId",
    "PublicKey",
    "Quantity",
    "Record",
    "Size",
    "Sscc",
    "Text",
    "Timestamp",
    "call",
    "genesis",
    "gs1_date",
    "iso_date",
    "lot_path",
    "query",
    "refuse",
]
