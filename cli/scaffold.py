"""What `hansa contract new` writes."""

from __future__ import annotations

from typing import Final

MODULE: Final = '''"""What the contract NAME is for, in a sentence."""

from __future__ import annotations

from typing import Annotated

from contracts.sdk import Contract, Map, OrganisationId, Record, Text, call, query, refuse


class Note(Record):
    """What an organisation lets the others know."""

    text: Annotated[str, Text(200)]
    since: int


class TITLE(Contract):
    """What the contract is for, in a sentence; `hansa call` shows it."""

    name = "NAME"
    version = 1

    notes = Map(Note, key=("organisation",))

    @call(roles=("corporate_admin", "corporate_user"))
    def post(self, text: Annotated[str, Text(200)]) -> None:
        """Let the others know something."""
        old = self.notes.get(self.ctx.organisation)
        if old is not None and old.text == text:
            refuse("NOTE_KNOWN", "the same text is posted already")
        self.notes.put(self.ctx.organisation, Note(text, self.ctx.time_ms))
        self.emit("Posted", organisation=self.ctx.organisation, text=text)

    @query
    def note(self, organisation: OrganisationId) -> Note | None:
        """What an organisation has posted last."""
        return self.notes.get(organisation)
'''

TEST: Final = '''"""Run by pytest, without a node."""

from pathlib import Path

from contracts.sdk.testkit import Testkit

HERE = Path(__file__).parent


def test_a_note_is_kept_and_told() -> None:
    kit = Testkit.of("NAME.py", root=HERE)
    kit.organisation("acme")
    acme = kit.as_("acme")

    acme.call("NAME", "post", text="closed on Friday")
    assert kit.query("NAME", "note", organisation=kit.id("acme"))["text"] == "closed on Friday"
    assert kit.events[-1].name == "Posted"

    acme.refused("NOTE_KNOWN", "NAME", "post", text="closed on Friday")
    acme.refused("BAD_ARGUMENT", "NAME", "post", text="")
    kit.replay()
'''
