"""What was made of what."""

from __future__ import annotations

from typing import Annotated, Any, Final

from contracts.sdk import Int, Item, Map, Size, query
from contracts.supply.things import Inventory

FROM_MAX: Final = 1_000  # things that one question begins with
LINKS_MAX: Final = 6_000  # that one answer gives
PART: Final = 1_000  # of a list in an answer


class Lineage(Inventory):
    """Who descends from whom, kept up whenever a lot or serial is made of others."""

    children = Map(str, key=("parent", "number"), hashed=("parent",))
    child_counts = Map(int, key=("parent",), hashed=("parent",))

    def _descends(self, child: str, parents: list[str]) -> None:
        """Take note that a new thing was made of others."""
        for parent in parents:
            number = self.child_counts.get(parent) or 0
            self.children.put((parent, number), child)
            self.child_counts.put(parent, number + 1)

    def _children(self, item: str, start: int, limit: int) -> list[str]:
        """What was made of a thing, from the ``start``-th on, in the order it was made."""
        found: list[str] = []
        for number in range(start, start + limit):
            child = self.children.get((item, number))
            if child is None:
                return found
            found.append(child)
        return found

    # --- asking -----------------------------------------------------------------------------

    @query
    def lineage(
        self,
        items: Annotated[list[Item], Size(FROM_MAX, 1)],
        back: bool = False,
        start: Annotated[int, Int(0)] = 0,
    ) -> dict[str, Any]:
        """All that was made of things, through any number of steps; or what they were made of.

        The answer has ``items`` in the order of finding, nearest first, and ``links``: numbers in
        pairs, the place among the items of one thing and that of one made of it. Both come in
        parts of a thousand. The first ``looked`` items are done; where there are more, there is
        more than one answer holds: ask for those. Of the next one ``start`` things made of it are
        told already: ask for it first, with this number.
        """
        found: list[str] = []
        places: dict[str, int] = {}
        for item in items:
            if item not in places:
                places[item] = len(found)
                found.append(item)
        links: list[int] = []
        at = 0
        while at < len(found) and len(links) < 2 * LINKS_MAX:
            item = found[at]
            room = LINKS_MAX - len(links) // 2
            nearest = self._made_of(item) if back else self._made_from(item, start, room)
            for one in nearest:
                place = places.get(one)
                if place is None:
                    place = len(found)
                    places[one] = place
                    found.append(one)
                links.append(place if back else at)
                links.append(at if back else place)
            start = 0 if back or len(nearest) < room else start + room
            if not start:
                at += 1
        return {"items": in_parts(found), "links": in_parts(links), "looked": at, "start": start}

    def _made_from(self, item: str, start: int, limit: int) -> list[str]:
        if start:
            return self._children(item, start, limit)
        return list(self.children.values(item, limit=limit))  # cheaper than one by one


def in_parts(values: list[Any]) -> list[list[Any]]:
    """A long list as lists that an answer can hold."""
    return [values[at : at + PART] for at in range(0, len(values), PART)]
