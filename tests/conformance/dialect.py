"""A contract that does everything contract source may do, so that steps and results of all of it
are compared between interpreters."""

# ruff: noqa: C419, PLE0643, PLW0120

from __future__ import annotations

from typing import Annotated, Any, Final

from contracts.sdk import (
    BadValue,
    Bic,
    Blob,
    Bool,
    Choice,
    ContainerNumber,
    Context,
    ContractError,
    Counter,
    Currency,
    Date,
    DocumentHash,
    Findings,
    Gln,
    Gtin,
    Iban,
    Index,
    Int,
    Item,
    Lei,
    LotNumber,
    Map,
    Money,
    Opened,
    OrganisationId,
    Party,
    Personal,
    PublicKey,
    Quantity,
    Size,
    Sscc,
    Task,
    Text,
    Timestamp,
    UnLocode,
    Verdict,
    VerdictCode,
    call,
    check,
    date_text,
    genesis,
    gs1_date,
    iso_date,
    iso_time,
    lot_path,
    migrate,
    opens,
    query,
    refuse,
    sha256,
    time_text,
    timed,
)
from tests.conformance.words import (
    DIGITS,
    KIND_A,
    KINDS,
    LIMIT,
    SALT,
    Base,
    Entry,
    Kind,
    Point,
    Short,
    Small,
    doubled,
)

ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz"
VOWELS: Final = ("a", "e", "i", "o", "u")
Numbers = Annotated[list[Small], Size(200)]
Texts = Annotated[list[Short], Size(200)]
Blobs = Annotated[list[Annotated[bytes, Blob(40)]], Size(100)]


class Dialect(Base):
    """Numbers, text, bytes, lists, maps, records, control, state and the SDK."""

    name = "dialect"
    version = 1

    entries = Map(Entry, key=("number",))
    entries_of = Index(entries, on=("owner", "kind"), hashed=("owner",))
    names = Map(str, key=("kind", "number"), hashed=("kind",))
    count = Counter()
    secrets = Map(Annotated[bytes, Party(Texts)], key=("number",))
    verdicts = Map(str, key=("number",))
    told = Opened(Texts)

    @genesis
    def found(self, first: int = 0) -> None:
        """Begin."""
        self.count.add(first)

    # --- openings ---------------------------------------------------------------------------

    @call
    def hide(
        self,
        number: Small,
        secret: Annotated[bytes, Party(Texts)],
        shown_to: Annotated[list[OrganisationId], Size(4)],
    ) -> None:
        """Keep a commitment, and say who may know what it is to."""
        self.secrets.put(number, secret)
        self.share([secret], shown_to)

    @check(records="judged")
    def long(self, number: Small) -> Verdict:
        """Whether what is hidden is long."""
        texts = self.told.open(self.secrets.get(number) or b"")
        code = "LONG" if len(texts) > 2 else "SHORT"
        return Verdict(code, [f"{len(texts)} texts"])

    @call
    def judged(self, number: Small, verdict: VerdictCode, findings: Findings) -> None:
        """Keep a verdict."""
        self.verdicts.put(number, verdict)
        self.share([findings], [])

    # --- values -----------------------------------------------------------------------------

    @call
    def numbers(self, values: Numbers) -> dict[str, Any]:
        """Whole numbers: every operator and every built-in function of them."""
        found: list[Any] = []
        for a, b in zip(values, [*values[1:], *values[:1]], strict=True):
            found.append([a + b, a - b, -a, +b, abs(a)])
            found.append([a & b, a | b, a ^ b, a % 97, a // 7, a >> 3, (a & 255) << 5])
            found.append([a == b, a != b, a < b, a <= b, a > b, a >= b, a < b < LIMIT])
            found.append([bool(a), not a, a and b, a or b, a if a > b else b])
            if b != 0:
                found.append([list(divmod(a, b)), a // b, a % b])
            found.append([str(a), f"{a}|{b & 255:05}|{b & 15:2}", int(str(a)), int(b > 0)])
        total = 0
        for value in values:
            total += value & 1023
            total *= 3
            total %= 1_000_003
            total ^= 5
            total |= 1
            total &= LIMIT
            total -= 1
            total <<= 1
            total >>= 1
            total //= 1
            total **= 1
        return {
            "found": found,
            "total": total,
            "powers": [3**number for number in range(20)],
            "min": min(values, default=0),
            "max": max(values, default=0),
            "least": min(values, key=lambda value: abs(value - 100), default=0),
            "most": max(1, 2, 3, key=lambda value: -value),
            "sum": sum(values, 5) & LIMIT,
            "sorted": sorted(values, reverse=True),
            "range": [*range(5), *range(3, 9, 2), *range(5, 0, -1), len(range(7))],
            "in": 3 in range(7),
        }

    @call
    def big(self, base: Small, exponent: Annotated[int, Int(0, 2000)]) -> list[Any]:
        """How big whole numbers may grow: beyond 256 bits the call fails."""
        number = base
        sizes: list[Any] = []
        while -(2**120) < number < 2**120:
            number = number * number + 3
            sizes.append(str(number))
        return [sizes, str(base**exponent), str(base << (exponent & 127)), f"{base * base}"]

    @call
    def texts(self, values: Texts, sought: Short = "a") -> dict[str, Any]:
        """Text: every method, operator and slice."""
        found: list[Any] = []
        for text in values:
            found.append([len(text), text + sought, text * 2, text[:3], text[-3:], text[::-1]])
            found.append([text == sought, text < sought, sought in text, text[1:5:2], bool(text)])
            found.append([text.find(sought), text.rfind(sought), text.count(sought)])
            found.append(
                [text.startswith(sought), text.endswith(sought), text.partition(sought or "-")]
            )
            found.append([text.rpartition(sought or "-"), text.split(), text.split(sought or "-")])
            found.append(
                [text.replace(sought, "<>"), text.removeprefix("a"), text.removesuffix("z")]
            )
            found.append([text.strip(), text.lstrip(), text.rstrip("z"), text.zfill(12)])
            found.append([text.ljust(9, "."), text.rjust(9), text.isascii(), text.encode()])
            found.append([text.upper(), text.lower(), text.capitalize()])
            found.append([text.isdigit(), text.isalpha(), text.isalnum()])
            found.append([letter for letter in text if letter in VOWELS])
            found.append(f"<{text}> {len(text)} {text == sought} {None}")
        joined = "-".join(values)
        return {
            "found": found,
            "joined": joined,
            "sorted": sorted(values),
            "min": min(values, default=""),
            "index": ALPHABET.index("k"),
            "letters": [ALPHABET[number % 26] for number in range(0, 100, 7)],
            "hash": sha256(joined.encode()).hex(),
        }

    @call
    def blobs(self, values: Blobs) -> dict[str, Any]:
        """Bytes."""
        found: list[Any] = []
        for raw in values:
            found.append([len(raw), raw + DIGITS, raw[:2], raw.hex(), raw == DIGITS, raw < DIGITS])
            found.append([raw.startswith(b"0"), raw.find(b"1"), raw.replace(b"0", b""), list(raw)])
            found.append([sha256(raw), bytes(raw), b"-".join([raw, raw]), b"5" in raw])
        decoded = [raw.decode() for raw in values if not raw.startswith(b"\xff")]
        return {"found": found, "sorted": sorted(values), "decoded": decoded, "made": bytes([1, 2])}

    @call
    def lists(self, values: Numbers) -> dict[str, Any]:
        """Lists and tuples."""
        items = list(values)
        items.append(7)
        items.extend([8, 9, 7])
        items.insert(1, -5)
        items += [4]
        popped = [items.pop(), items.pop(0)]
        items.remove(7)
        first, rest = items[0], items[1:]
        other = items.copy()
        other.reverse()
        other[0] = 99
        other[-1] += 1
        pairs = [(value % 5, value) for value in items]
        pairs.sort(key=lambda pair: pair[0])
        grid = [[row * column for column in range(4)] for row in range(4)]
        shared = [grid, grid]
        return {
            "items": items,
            "popped": popped,
            "first": first,
            "rest": rest,
            "other": other,
            "pairs": pairs,
            "nested": sorted([(value % 3, f"{value % 2}") for value in values]),
            "equal": [
                shared == [grid, grid],
                grid == shared,
                (1, [2]) == (1, [2]),
                grid < shared[0],
            ],
            "in": [7 in items, [0, 0, 0, 0] in grid, 3 not in items],
            "count": [items.count(8), items.index(8), (1, 2, 1).count(1)],
            "slices": [items[::2], items[-2:], items[5:1:-2], tuple(items)[:2]],
            "enumerated": list(enumerate(items, start=3)),
            "reversed": list(reversed(items)),
            "any": [any([value > 8 for value in items]), all([value > 8 for value in items])],
            "flat": [cell for row in grid for cell in row if cell % 2],
            "times": [0] * 5 + [1],
            "cleared": self._cleared(other),
        }

    def _cleared(self, items: list[int]) -> list[int]:
        items.clear()
        return items

    @call
    def maps(self, values: Numbers, words: Texts) -> dict[str, Any]:
        """Maps: order, keys of text, bytes and numbers."""
        counts: dict[str, int] = {}
        for word in words:
            counts[word] = counts.get(word, 0) + 1
        squares = {value % 1000: value * value % 1000 for value in values}
        by_bytes = {word.encode(): len(word) for word in words}
        merged = dict(counts)
        merged.update({"last": 1})
        merged.setdefault("more", 2)
        removed = [merged.pop("last"), merged.pop("absent", -1)]
        other = merged.copy()
        other["last"] = 5
        return {
            "counts": counts,
            "keys": list(counts.keys()),
            "items": [[key, value] for key, value in sorted(counts.items())],
            "values": sorted(squares.values()),
            "squares": [[key, squares[key]] for key in sorted(squares)],
            "bytes": [by_bytes[key] for key in sorted(by_bytes)],
            "equal": [merged == other, counts == dict(counts), len(merged)],
            "in": ["more" in merged, 5 in squares, b"a" in by_bytes],
            "removed": removed,
            "order": list({"b": 1, "a": 2} | counts),
        }

    @call
    def records(self, values: Numbers) -> dict[str, Any]:
        """Records: made, compared, changed, their methods and properties."""
        points = [Point(value % 100, y=value % 7) for value in values]
        for point in points:
            point.y += 1
            point.label = f"p{point.x}"
        moved = [point.moved(2) for point in points]
        held: list[Any] = [*points, 5, "text", None]
        return {
            "points": sorted(points, key=lambda point: point.sum),
            "equal": [points == moved, Point(1) == Point(1, 0, "none"), Point(1) == Point(2)],
            "kinds": [isinstance(one, Point) for one in held],
            "scalars": [isinstance(one, (int, str)) for one in held],
            "same": [one is None for one in held],
            "moved": moved,
        }

    # --- control ------------------------------------------------------------------------------

    @call
    def control(self, values: Numbers) -> dict[str, Any]:
        """Loops, branches, refusals caught, and what a call's path costs."""
        found: list[Any] = []
        for value in values:
            if value % 5 == 0:
                continue
            elif value % 7 == 0:
                found.append("seven")
                break
            else:
                found.append(value % 3)
        else:
            found.append("through")
        number = 27
        rounds = 0
        while number != 1:
            number = number // 2 if number % 2 == 0 else 3 * number + 1
            rounds += 1
        else:
            found.append(rounds)
        caught: list[list[str]] = []
        for value in values:
            try:
                self._checked(value)
                caught.append(["fine", str(doubled(value))])
            except ContractError as error:
                caught.append([error.code, error.message])
        if (half := len(values) // 2) > 1:
            found.append(half)
        a, (b, c) = 1, (2, 3)
        a, b = b, a
        return {"found": found, "caught": caught, "abc": [a, b, c], "said": self._said(found)}

    @call
    def fault(self, how: Short) -> Any:
        """Fail as an author may not foresee: always the same receipt."""
        empty: dict[str, int] = {}
        if how == "zero":
            return 1 // len(empty)
        if how == "index":
            return [1][3]
        if how == "key":
            return empty["absent"]
        if how == "type":
            return self._said([1]) + 5  # type: ignore[operator]
        if how == "unpack":
            a, b = [1, 2, 3]
            return [a, b]
        if how == "decode":
            return b"\xff".decode()
        if how == "order":
            return [1] < ["a"]  # type: ignore[list-item]
        if how == "none":
            return self.entries.get(-1).number  # type: ignore[union-attr]
        if how == "int":
            return int("12a")
        if how == "refuse":
            refuse("AS_ASKED", "because")
        if how == "value":
            return iso_date("2026-02-30")
        if how == "key type":
            empty[(1, 2)] = 3  # type: ignore[index]
        return None

    @call
    def endless(self, kind: Short) -> None:
        """Work until the steps are used up."""
        text = ""
        items: list[Any] = []
        while True:
            if kind == "text":
                text = (text + "x" * 1000)[-50_000:]
            elif kind == "list":
                items.append(len(items))
                items.sort()
            elif kind == "state":
                self.count.add()
            elif kind == "compare":
                items = [items, items]
                self.count.add(int(items == items.copy()))
            else:
                self.emit("Round", number=self.count.add())

    # --- state and the world --------------------------------------------------------------------

    @call(roles=("manufacturer", "dispenser"))
    def keep(self, numbers: Numbers, kind: Kind = KIND_A) -> list[Any]:
        """Write, read and scan."""
        for number in numbers:
            entry = Entry(number, kind, self.ctx.organisation, [number & 7], Point(number & 15))
            self.entries.put(number, entry)
            self.names.put((kind, number), f"name {number}")
            self.emit("Kept", number=number, kind=kind, raw=str(number).encode())
        counted = self.count.add(len(numbers))
        return [
            counted,
            self.count.value,
            [entry.number for entry in self.entries.values()],
            [entry.number for entry in self.entries_of.values((self.ctx.organisation, kind))],
            [key for key, _ in self.entries.items(limit=3)],
            list(self.entries.keys(limit=2)),
            list(self.names.values(kind)),
            list(self.entries_of.keys(self.ctx.organisation, limit=2)),
        ]

    @call(own=("entries", "number", "owner"))
    def change(self, number: Small) -> Any:
        """Change what is one's own."""
        entry = self.entries.get(number)
        if entry is None:
            refuse("NOTHING", "there is none")
        entry.parts.append(len(entry.parts))
        entry.kind = KINDS[len(entry.parts) % 2]
        self.entries.put(number, entry)
        return entry

    @call
    def drop(self, number: Small) -> bool:
        """Delete."""
        known = number in self.entries
        self.entries.delete(number)
        return known

    @call(attributes=(("region", "EU"),))
    def later(self, number: Small, in_ms: Annotated[int, Int(0, 10**12)]) -> str:
        """Have something done later; what is cancelled is not."""
        handle = self.due(self.ctx.time_ms + in_ms, "ripen", number=number, text="later")
        if number % 2:
            self.cancel(handle)
        return handle

    @timed
    def ripen(self, number: Small, text: Short = "") -> None:
        """What was to be done."""
        if number % 3 == 0:
            refuse("NOT_RIPE", f"{number} never ripens")
        self.emit("Ripened", number=number, text=text, today=self.ctx.today)

    @call
    def world(self) -> dict[str, Any]:
        """What a call may know, and other contracts' answers."""
        ctx = self.ctx
        try:
            self.require("regulator")
            is_regulator = True
        except ContractError:
            is_regulator = False
        told = self.invoke("identity", "organisation", id=ctx.organisation)
        codes: list[str] = []
        for contract, method in (("identity", "absent"), ("dialect", "world"), ("nothing", "x")):
            try:
                self.invoke(contract, method)
            except ContractError as error:
                codes.append(error.code)
        return {
            "ctx": [ctx.chain_id, ctx.height, ctx.time_ms, ctx.today, ctx.caller, ctx.tx_id],
            "who": [ctx.organisation, list(ctx.roles), ctx.attributes, list(ctx.callers)],
            "place": [ctx.tx_index, ctx.call_index, self._height_of(ctx)],
            "told": told,
            "codes": codes,
            "regulator": is_regulator,
        }

    def _height_of(self, ctx: Context) -> int:
        return ctx.height

    @call
    def trade(
        self,
        gtin: Gtin,
        gln: Gln,
        sscc: Sscc,
        lei: Lei,
        bic: Bic,
        iban: Iban,
        currency: Currency,
        place: UnLocode,
        container: ContainerNumber,
        lot: LotNumber,
        item: Item,
        organisation: OrganisationId,
        day: Date,
        time: Timestamp,
        document: DocumentHash,
        key: PublicKey,
        price: Money,
        quantity: Quantity,
        terms: Annotated[bytes, Party(Money)],
        person: Annotated[bytes, Personal(Text(80))],
        colour: Annotated[str, Choice("RED", "BLUE")],
        pattern: Annotated[str, Text(20, pattern="[A-Z]{2}[0-9]*(-[0-9]+)?")],
        flag: Annotated[bool, Bool()] = True,
    ) -> dict[str, Any]:
        """Every field type, and what the SDK makes of them."""
        more = price.plus(Money(5, price.currency))
        try:
            price.minus(Money(1, "XOF"))
            code = "OK"
        except ContractError as error:
            code = error.code
        try:
            iso_time("2026-13-01T00:00:00Z")
            wrong = ""
        except BadValue as error:
            wrong = error.message
        return {
            "codes": [gtin, gln, sscc, lei, bic, iban, currency, place, container, lot, item],
            "who": [organisation, key, document, colour, pattern, flag],
            "when": [day, time, iso_date("2028-02-29"), gs1_date("280200", 2026)],
            "dates": [date_text(day), time_text(time)],
            "money": [price.text, more.minor, more.currency, price.digits, code, wrong],
            "quantity": [quantity.amount, quantity.unit],
            "opens": [opens(person, SALT, "Abebe"), opens(terms, SALT, price)],
            "path": lot_path(gtin, lot),
        }

    @query
    def entry(self, number: Small) -> Entry | None:
        """What is kept."""
        return self.entries.get(number)

    @query
    def total(self) -> int:
        """How much was counted."""
        return self.count.value

    @query
    def tasks(self, organisation: OrganisationId, after: Small = 0) -> dict[str, Any]:
        """What its own entries wait for, and what others' do."""
        found: list[Task] = []
        for entry in self.entries.values():
            if entry.number > after:
                args, subject = {"number": entry.number}, f"entry {entry.number}"
                found.append(Task(entry.owner, "change", args, subject, [], 0, due=entry.number))
        return {"of": organisation, "tasks": found[:2], "next": 0}

    @migrate
    def renewed(self, from_version: int) -> None:
        """Bring what an earlier version kept into this version's form."""
        for entry in list(self.entries.values()):
            entry.point.label = f"from {from_version}"
            self.entries.put(entry.number, entry)
        self.emit("Renewed", from_version=from_version)
