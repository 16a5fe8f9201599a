"""Messages as JSON, for people and programs: who, to whom, what it says, and the message whole."""

from __future__ import annotations

import dataclasses
from typing import Any

from cli.mt.message import Message, message_from_json, new_message
from cli.mt.rules import check_message
from cli.mt.saying import fields_of, said
from cli.mt.tables import TABLES
from consensus.primitives.errors import InputError


def document_of(message: Message) -> dict[str, Any]:
    """A valid message, and what it says."""
    return {
        "mt": message.number,
        "sender": message.sender,
        "receiver": message.receiver,
        "says": said(message),
        "message": message.to_json(),
    }


def message_from_document(value: object) -> Message:
    """The message that a document tells of. Raises InputError MT_JSON and those of values.

    Where ``message`` is there and ``says`` the same, it is that one to the letter; where ``says``
    was changed, it has the headers of the one and the fields of the other.
    """
    if not isinstance(value, dict):
        raise InputError("MT_JSON", "a message is an object with mt, sender, receiver and says")
    says = value.get("says")
    whole = value.get("message")
    if whole is not None:
        message = message_from_json(whole)
        is_same = says is None or (not check_message(message) and said(message) == says)
        if is_same:
            return message
    number = value.get("mt")
    sender, receiver = value.get("sender"), value.get("receiver")
    if (
        number not in TABLES
        or not isinstance(sender, str)
        or not isinstance(receiver, str)
        or not isinstance(says, dict)
    ):
        raise InputError("MT_JSON", "a new message has mt, sender, receiver and says")
    made = new_message(number, sender, receiver, fields_of(number, says))
    return made if whole is None else dataclasses.replace(message, fields=made.fields)
