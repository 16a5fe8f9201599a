"""All that was made of a thing, or what it was made of, asked for page by page."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cli.client import Client

FROM_MAX = 1_000  # things that one question begins with (contracts/supply/lineage.py)


class Lineage(NamedTuple):
    """Things, the one asked about first, and pairs of places among them: (made of, made)."""

    items: list[str]
    links: list[tuple[int, int]]

    def steps(self, *, back: bool) -> list[int]:
        """How far each thing is from the first. Links stand in the order of finding, so nearer
        things come before farther ones."""
        found = {0: 0}
        waiting = [0]
        nearest: dict[int, list[int]] = {}
        for made_of, made in self.links:
            here, there = (made, made_of) if back else (made_of, made)
            nearest.setdefault(here, []).append(there)
        for place in waiting:
            for other in nearest.get(place, ()):
                if other not in found:
                    found[other] = found[place] + 1
                    waiting.append(other)
        return [found[place] for place in range(len(self.items))]


def lineage(client: Client, item: str, *, back: bool) -> Lineage:
    """Raises ClientError UNKNOWN_ITEM for a thing that the chain does not know."""
    from cli.client import ClientError

    places: dict[str, int] = {}
    items: list[str] = []
    links: dict[tuple[int, int], None] = {}
    looked: set[str] = set()
    waiting, start = [item], 0
    while waiting:
        asked = {"items": waiting[:FROM_MAX], "back": back, "start": start}
        answer = client.query("batch", "lineage", asked).value
        waiting = waiting[FROM_MAX:]
        names: list[str] = list(chain.from_iterable(answer["items"]))
        for name in names:
            if name not in places:
                places[name] = len(items)
                items.append(name)
        numbers = chain.from_iterable(answer["links"])
        for made_of, made in zip(numbers, numbers, strict=True):
            links[places[names[made_of]], places[names[made]]] = None
        looked.update(names[: answer["looked"]])
        left, start = names[answer["looked"] :], answer["start"]
        if start:  # of the first that is left more was made: it comes first again
            waiting = [left[0], *(name for name in waiting if name != left[0])]
        known = looked.union(waiting)
        waiting += [name for name in left if name not in known]
    if len(items) == 1 and client.query("batch", "item", {"item": item}).value is None:
        raise ClientError("UNKNOWN_ITEM", f"nothing is known of {items[0]}")
    return Lineage(items, list(links))
