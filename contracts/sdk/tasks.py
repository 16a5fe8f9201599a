"""What somebody is to do next, as a contract knows it."""

from __future__ import annotations

from typing import Annotated, Any

from contracts.sdk.fields import OrganisationId, Size, Text, Timestamp
from contracts.sdk.records import Record

Word = Annotated[str, Text(64)]


class Task(Record):
    """A step that waits for one organisation.

    A contract answers the query ``tasks(organisation, after)`` with ``{"tasks": [...], "next":
    N}``: for the live things of which ``organisation`` is a party, what it has to do and what the
    other parties have to do. ``after`` is 0 at first and then ``next``, whose 0 says that there is
    no more.
    """

    organisation: OrganisationId  # who has to act
    method: Word  # of this contract, what is to be called
    args: dict[str, Any]  # its arguments as far as they are known, such as {"number": 12}
    subject: Annotated[str, Text(100)]  # such as "credit 12 presentation 1"
    roles: Annotated[list[Word], Size(32)]  # one of them is needed; none: any key
    since: Timestamp  # ms
    due: Timestamp = 0  # ms; 0: there is no deadline
