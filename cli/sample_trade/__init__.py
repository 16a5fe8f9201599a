"""The project's own example: a medicine batch from commissioning to recall.

Documents in GS1 EPCIS 2.0 JSON with the organisation that signs each, in the order of events; the
recall, which EPCIS has no words for, as what the calls of the recall contract take.
Identifiers are of GS1's example range 952; the companies do not exist.
"""

from __future__ import annotations

import dataclasses
import json
from importlib import resources
from typing import Any


@dataclasses.dataclass(frozen=True)
class Organisation:
    """Who takes part: GLN, name, and trade roles as the identity contract knows them."""

    id: str
    name: str
    roles: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Document:
    """An EPCIS document and the GLN of the organisation that signs its transactions."""

    name: str
    title: str
    signer: str
    raw: bytes


@dataclasses.dataclass(frozen=True)
class SampleRecall:
    """The recall of the batch, before the document of this name: who signs, and what."""

    signer: str
    regulator: str
    before: str
    announcement: dict[str, Any]
    items: list[dict[str, Any]]
    strategy: dict[str, Any]
    recall_class: str


@dataclasses.dataclass(frozen=True)
class SampleTrade:
    """``item`` is the path of the batch that it is all about."""

    title: str
    item: str
    organisations: tuple[Organisation, ...]
    documents: tuple[Document, ...]
    recall: SampleRecall


def load_sample_trade() -> SampleTrade:
    """The sample trade, documents in their order."""
    folder = resources.files(__name__)
    manifest = json.loads(folder.joinpath("manifest.json").read_text(encoding="utf-8"))
    return SampleTrade(
        title=manifest["title"],
        item=manifest["item"],
        organisations=tuple(
            Organisation(entry["id"], entry["name"], tuple(entry["roles"]))
            for entry in manifest["organisations"]
        ),
        documents=tuple(
            Document(
                entry["name"],
                entry["title"],
                entry["signer"],
                folder.joinpath(f"{entry['name']}.json").read_bytes(),
            )
            for entry in manifest["documents"]
        ),
        recall=SampleRecall(
            **json.loads(folder.joinpath(f"{manifest['recall']}.json").read_text())
        ),
    )
