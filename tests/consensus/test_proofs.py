"""State proofs: what they show is so, and what they leave out they don't answer."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.primitives import tree
from consensus.primitives.codec import encode
from consensus.primitives.errors import CodecError, HansaError, InputError, LocalFault, PeerFault
from consensus.primitives.keys import Digest, encode_key, prefix_range
from consensus.proofs import PARTS_MAX, Shown, StateProof, Wanted, _event, prove_state
from tests.consensus.stored_tree import StoredTree

Pairs = dict[bytes, bytes]

# Keys of one length are prefix-free; few values of each byte make long shared beginnings.
short_keys = st.lists(st.sampled_from([0, 1, 2, 3, 16, 128, 255]), min_size=4, max_size=4).map(
    bytes
)
pair_sets = st.dictionaries(short_keys, st.binary(max_size=3), max_size=40)


def shows_all(shown: object, pairs: Pairs, start: bytes, stop: bytes) -> None:
    expected = [(key, pairs[key]) for key in sorted(pairs) if start <= key < stop]
    assert list(shown.scan(start, stop)) == expected  # type: ignore[attr-defined]


@given(pair_sets, st.lists(short_keys, min_size=1, max_size=6))
def test_presence_and_absence_of_any_keys_in_one_proof(pairs: Pairs, keys: list[bytes]) -> None:
    stored = StoredTree(pairs)
    raw = stored.prove(keys).raw
    shown = StateProof.decode(raw).check(stored.root)
    for key in keys:
        assert shown.get(key) == pairs.get(key)


@given(pair_sets, st.lists(st.tuples(short_keys, short_keys), min_size=1, max_size=3))
def test_complete_ranges(pairs: Pairs, ranges: list[tuple[bytes, bytes]]) -> None:
    stored = StoredTree(pairs)
    shown = StateProof.decode(stored.prove((), ranges).raw).check(stored.root)
    for start, stop in ranges:
        shows_all(shown, pairs, start, stop)


@given(pair_sets, short_keys, st.lists(short_keys, max_size=3), short_keys, short_keys)
def test_what_a_proof_does_not_show_is_not_absent(
    pairs: Pairs, asked: bytes, keys: list[bytes], start: bytes, stop: bytes
) -> None:
    """A partial proof answers rightly or not at all, whatever it was made for."""
    stored = StoredTree(pairs)
    shown = stored.prove(keys, [(start, stop)]).check(stored.root)
    for key in (asked, *pairs):
        try:
            assert shown.get(key) == pairs.get(key)
        except InputError as error:
            assert error.code == "NOT_IN_PROOF"
    low, high = sorted((asked, stop))
    try:
        shows_all(shown, pairs, low, high)
    except InputError as error:
        assert error.code == "NOT_IN_PROOF"


@given(pair_sets, st.data(), st.tuples(short_keys, short_keys), st.tuples(short_keys, short_keys))
def test_how_far_a_proof_answers(
    pairs: Pairs, data: st.DataObject, proven: tuple[bytes, bytes], asked: tuple[bytes, bytes]
) -> None:
    """Up to the end that it tells it answers rightly; one step further it refuses."""
    some = st.sampled_from(sorted(pairs)) if pairs else short_keys
    keys = data.draw(st.lists(some | short_keys, max_size=3))
    if keys and data.draw(st.booleans()):
        asked = keys[0], asked[1]
    stored = StoredTree(pairs)
    shown = stored.prove(keys, [proven]).check(stored.root)
    start, stop = sorted(asked)
    end = shown.covered_to(start, stop)
    assert start <= end <= stop
    shows_all(shown, pairs, start, end)
    if end < stop:
        # A range is answered up to the next key at most: behind that, something is not shown.
        later = min([key for key in pairs if key >= end], default=stop)
        with pytest.raises(InputError):
            list(shown.scan(start, min(stop, later + b"\0") if later < stop else stop))
    if proven[0] <= start and stop <= proven[1]:
        assert end == stop, "what it was made for is answered whole"


def test_prefix_of_a_map_is_proven_complete() -> None:
    """All keys of one map under leading parts, and none of its neighbours' maps."""
    pairs = {
        encode_key("batch", name, (lot, number)): bytes((number,))
        for name in ("a", "b", "c")
        for lot in ("L1", "L2")
        for number in range(20)
    }
    stored = StoredTree(pairs)
    for leading in ((), ("L1",), ("L2",), ("L3",)):
        start, stop = prefix_range("batch", "b", leading)
        proof = stored.prove((), [(start, stop)])
        shows_all(proof.check(stored.root), pairs, start, stop)
    assert len(list(proof.check(stored.root).scan(start, stop))) == 0  # L3 has none, and it shows


def test_neighbours_of_an_absence_are_shown_without_their_values() -> None:
    stored = StoredTree({b"aaaa": b"secret" * 1000, b"cccc": b"other" * 1000})
    proof = stored.prove([b"bbbb"])
    assert len(proof.raw) < 150
    shown = proof.check(stored.root)
    assert shown.get(b"bbbb") is None
    with pytest.raises(InputError, match="leaves out the value"):
        shown.get(b"aaaa")
    assert stored.prove([b"bbbb"], neighbours=True).check(stored.root).get(b"aaaa") is not None


def test_a_leaf_cut_out_of_a_range_is_noticed() -> None:
    """The forgery that matters: a recall left out, its leaf replaced by the leaf's hash."""
    pairs = {bytes((0, 0, 0, n)): bytes((n,)) for n in range(1, 9)}
    stored = StoredTree(pairs)
    start, stop = bytes(4), bytes((0, 0, 1, 0))
    parts = stored.prove((), [(start, stop)]).parts
    for at, part in enumerate(parts):
        if isinstance(part, Shown):
            forged = StateProof((*parts[:at], part.hash, *parts[at + 1 :]))
            shown = forged.check(stored.root)  # it is a true picture, but of less
            with pytest.raises(InputError, match="does not cover"):
                list(shown.scan(start, stop))
            with pytest.raises(InputError, match="does not cover"):
                shown.get(part.key)
            dropped = StateProof((*parts[:at], *parts[at + 1 :]))
            with pytest.raises(PeerFault):
                dropped.check(stored.root)


def test_no_bit_of_a_proof_can_be_flipped() -> None:
    pairs = {bytes((7, n, 0, n)): bytes((n, n)) for n in range(0, 60, 3)}
    stored = StoredTree(pairs)
    key, absent = bytes((7, 9, 0, 9)), bytes((7, 10, 0, 0))
    raw = stored.prove([key, absent]).raw
    for bit in range(8 * len(raw)):
        altered = bytearray(raw)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises((PeerFault, CodecError)):
            StateProof.decode(bytes(altered)).check(stored.root)


@given(pair_sets, st.lists(short_keys, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_parts_rearranged_say_nothing_false(
    pairs: Pairs, keys: list[bytes], random: Random
) -> None:
    stored = StoredTree(pairs)
    parts = list(stored.prove(keys).parts)
    for _ in range(3):
        if parts:
            action = random.randrange(3)
            at = random.randrange(len(parts))
            if action == 0:
                parts.insert(at, parts[random.randrange(len(parts))])
            elif action == 1:
                del parts[at]
            else:
                parts[at], parts[0] = parts[0], parts[at]
    try:
        shown = StateProof(tuple(parts)).check(stored.root)
    except PeerFault as error:
        assert error.code == "PROOF_INVALID"
        return
    for key in keys:
        try:
            assert shown.get(key) == pairs.get(key)
        except InputError as error:
            assert error.code == "NOT_IN_PROOF"


@pytest.mark.parametrize(
    "parts",
    [
        (None,),
        (bytes(32), None),
        (bytes(32), bytes(32)),
        (Shown.whole(b"b", b""), Shown.whole(b"a", b""), None),
        (Shown.whole(b"a", b""), Shown.whole(b"a", b""), None),
        (),
    ],
)
def test_parts_that_make_no_tree_are_refused(parts: tuple[Shown | bytes | None, ...]) -> None:
    with pytest.raises(PeerFault, match=r"tree|order|state"):
        StateProof(parts).check(bytes(32))


def test_bytes_that_are_no_parts_are_refused() -> None:
    for plain in (b"", "x", 1, [b""], [b"k", b"v", b"x"], [b"k", None, b"short"], [None, b"v"]):
        with pytest.raises(CodecError):
            StateProof.from_plain([[plain]])
    for value in ("xy", 5, {"key": "00"}, {"key": "00", "value": 3}, "00"):
        with pytest.raises(CodecError):
            StateProof.from_json({"parts": [value]})


def test_the_json_view_and_back() -> None:
    stored = StoredTree({bytes((n, 1)): bytes((n,)) for n in range(9)})
    proof = stored.prove([b"\x03\x01", b"\x04\x00"])
    assert StateProof.from_json(proof.to_json()) == proof
    assert StateProof.decode(proof.raw) == proof


def test_the_empty_state_has_no_key() -> None:
    stored = StoredTree({})
    shown = stored.prove([b"k"], [(b"a", b"z")]).check(tree.EMPTY_ROOT)
    assert shown.get(b"k") is None
    assert list(shown.scan(b"a", b"z")) == []
    assert list(shown.scan(b"z", b"a")) == []


def test_a_damaged_store_makes_no_proof() -> None:
    stored = StoredTree({b"aaaa": b"1", b"bbbb": b"2"})
    stored.pairs[b"aaaa"] = b"3"
    with pytest.raises(LocalFault, match="not the tree's"):
        stored.prove([b"aaaa"])


def test_a_proof_of_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = StoredTree({bytes((n, 1)): b"" for n in range(20)})
    monkeypatch.setattr("consensus.proofs.PARTS_MAX", 10)
    with pytest.raises(InputError, match="several proofs"):
        stored.prove((), [(b"\x00", b"\xff")])
    assert PARTS_MAX == 1 << 16


def test_a_batch_shares_what_stands_above() -> None:
    random = Random(8)
    pairs = {random.randbytes(20): random.randbytes(40) for _ in range(5000)}
    stored = StoredTree(pairs)
    keys = sorted(pairs)[2000:2032]
    single = sum(len(stored.prove([key]).raw) for key in keys)
    assert len(stored.prove(keys).raw) * 4 < single


def worst_keys(head: bytes, tail: int) -> list[bytes]:
    """Keys that part from ``head + zeros`` at every bit there is: one inner node for each."""
    base = head + bytes(tail)
    keys = [base]
    for bit in range(8 * len(head), 8 * len(base)):
        key = bytearray(base)
        key[bit // 8] |= 128 >> bit % 8
        keys.append(bytes(key))
    return keys


def test_chosen_keys_make_no_proof_longer_than_their_bits() -> None:
    """Free choice of all 96 bytes: one hash for each bit, and both recursion and checks hold."""
    keys = worst_keys(b"\x63", 95)
    stored = StoredTree(dict.fromkeys(keys, b"v"))
    proof = stored.prove([keys[0]])
    assert proof.check(stored.root).get(keys[0]) == b"v"
    assert sum(type(part) is bytes for part in proof.parts) == 8 * 95
    assert len(proof.raw) < 8 * 95 * 35 + 200


def test_chosen_keys_that_enter_hashed_make_short_proofs() -> None:
    """What a user chooses enters as its digest: the worst of many tries stays near log2(n)."""
    chosen = [f"{number:x}".rjust(60, "0") for number in range(20_000)]
    keys = [encode_key("batch", "lots", (text,), hashed=True) for text in chosen]
    stored = StoredTree(dict.fromkeys(keys, b"v"))
    longest = max(len(stored.prove([key]).raw) for key in keys[::97])
    assert longest < 1500
    head = encode_key("batch", "lots", (Digest(bytes(32)),))[:-33]
    worst = StoredTree(dict.fromkeys([key + b"\0" for key in worst_keys(head, 8)], b"v"))
    assert len(worst.prove([worst_keys(head, 8)[0] + b"\0"]).raw) < 4096
    """Digests that agree in 64 bits with a victim's, one for each bit: 2**64 hashes of work."""


def test_the_longest_proof_that_ordered_ids_of_users_allow() -> None:
    """An organisation's own users: ids of 32 characters, ordered. The only text of users' choice
    that no digest stands for; it lengthens that organisation's proofs alone."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
    base = "a" * 32
    ids = [base[:at] + other + base[at + 1 :] for at in range(32) for other in letters]
    keys = {encode_key("identity", "users", ("4012345000009", one)) for one in ids}
    others = {encode_key("identity", "users", (f"40123450{n:05}", base)) for n in range(2000)}
    stored = StoredTree(dict.fromkeys(keys | others, b"v"))
    victim = encode_key("identity", "users", ("4012345000009", base))
    assert len(stored.prove([victim]).raw) < 8 * 1024
    assert max(len(stored.prove([key]).raw) for key in sorted(others)[::50]) < 1024


@settings(max_examples=30)
@given(st.sets(st.binary(min_size=1, max_size=3), min_size=1, max_size=30), st.binary(max_size=4))
def test_keys_of_all_lengths(raw: set[bytes], asked: bytes) -> None:
    """Keys of many lengths, asked for keys that begin others or are longer than all."""
    pairs = {encode_key("c", "m", (one,)): one for one in raw}
    stored = StoredTree(pairs)
    keys = [
        encode_key("c", "m", (asked,)),
        *(key[:-1] for key in pairs),
        *(k + b"x" for k in pairs),
    ]
    shown = stored.prove(keys).check(stored.root)
    for key in keys:
        assert shown.get(key) == pairs.get(key)


def test_wanted_nothing_is_the_root_alone() -> None:
    stored = StoredTree({b"a": b"1", b"b": b"2"})
    proof = prove_state(stored, stored.slot, stored.pairs.get, Wanted())
    assert proof.parts == (stored.root,)
    with pytest.raises(InputError, match="does not cover"):
        proof.check(stored.root).get(b"a")


# --- just what is asked --------------------------------------------------------------------------

TENS = [bytes((number * 10, 1)) for number in range(20)]
OF_TENS = StoredTree({key: b"value " + key for key in TENS})


def leaves_of(proof: StateProof) -> list[tuple[int, bool]]:
    """The leaves of a proof by their number, and whether they come with their values."""
    shown = [part for part in proof.parts if isinstance(part, Shown)]
    return [(TENS.index(leaf.key), leaf.value is not None) for leaf in shown]


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [
        (TENS[3], TENS[6], [(3, True), (4, True), (5, True), (6, False)]),
        (b"\x1f", b"\x35", [(3, False), (4, True), (5, True), (6, False)]),
        (TENS[3], TENS[3], []),
        (TENS[6], TENS[3], []),
        (b"\x00", TENS[1], [(0, True), (1, False)]),
        (b"\xbf", b"\xff", [(19, False)]),
        (TENS[18], b"\xff", [(18, True), (19, True)]),
    ],
)
def test_a_range_has_its_leaves_and_one_on_each_side(
    start: bytes, stop: bytes, expected: list[tuple[int, bool]]
) -> None:
    proof = OF_TENS.prove((), [(start, stop)])
    assert leaves_of(proof) == expected
    if start < stop:
        shows_all(proof.check(OF_TENS.root), OF_TENS.pairs, start, stop)


def test_a_key_has_one_leaf_and_an_absence_two() -> None:
    assert leaves_of(OF_TENS.prove([TENS[5]])) == [(5, True)]
    assert leaves_of(OF_TENS.prove([b"\x30"])) == [(4, False), (5, False)]
    both = Wanted([b"\x30"])
    plain = prove_state(OF_TENS, OF_TENS.slot, OF_TENS.pairs.get, both)
    assert leaves_of(plain) == [(4, False), (5, False)]
    assert leaves_of(OF_TENS.prove([b"\x30"], neighbours=True)) == [(4, True), (5, True)]
    assert leaves_of(OF_TENS.prove([b"\x00"])) == [(0, False)]
    assert leaves_of(OF_TENS.prove([b"\xff"])) == [(19, False)]
    assert leaves_of(OF_TENS.prove([TENS[5], b"\x33", TENS[6]])) == [(5, True), (6, True)]


def test_how_far_a_few_proofs_answer() -> None:
    end = b"\xff"
    one = OF_TENS.prove([TENS[5]]).check(OF_TENS.root)
    assert one.covered_to(TENS[5], end) == TENS[5] + b"\0"
    assert one.covered_to(TENS[5], TENS[5]) == TENS[5]
    assert one.covered_to(TENS[4], end) == TENS[4]
    assert one.covered_to(TENS[6], end) == TENS[6]
    two = OF_TENS.prove([TENS[2], TENS[5]]).check(OF_TENS.root)
    assert two.covered_to(TENS[2], end) == TENS[2] + b"\0"
    assert list(two.scan(TENS[5], TENS[5] + b"\0")) == [(TENS[5], OF_TENS.pairs[TENS[5]])]
    some = OF_TENS.prove((), [(TENS[3], TENS[6])]).check(OF_TENS.root)
    assert some.covered_to(TENS[3], TENS[5]) == TENS[5]
    assert some.covered_to(TENS[3], TENS[6]) == TENS[6]
    assert some.covered_to(TENS[3], end) == TENS[6], "the last one's value is not shown"
    beside = OF_TENS.prove([TENS[5], TENS[6]]).check(OF_TENS.root)
    assert beside.covered_to(TENS[5], TENS[6]) == TENS[6]
    assert beside.covered_to(TENS[5], end) == TENS[6] + b"\0"


def test_a_proof_that_would_be_too_large_or_of_damaged_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def made(values: dict[bytes, bytes]) -> str:
        with pytest.raises(HansaError) as caught:
            prove_state(OF_TENS, OF_TENS.slot, values.get, Wanted([TENS[5]]))
        return caught.value.code

    assert made({}) == "STORE_CORRUPT"
    assert made({TENS[5]: b"another"}) == "STORE_CORRUPT"
    monkeypatch.setattr("consensus.proofs.PARTS_MAX", 3)
    assert made(OF_TENS.pairs) == "PROOF_TOO_LARGE"


@pytest.mark.parametrize(
    "part",
    [
        [b"", b"v"],
        [b"k" * 97, b"v"],
        [b"k"],
        [b"k", "v"],
        [b"k", None, b"v", b"w"],
        ["k", b"v"],
        b"short",
        7,
    ],
)
def test_what_is_no_part_of_a_proof(part: object) -> None:
    with pytest.raises(CodecError) as caught:
        StateProof.decode(encode([[part]]))
    assert caught.value.code == "WRONG_TYPE"


@pytest.mark.parametrize("part", ["xyz", 7, {"key": "00"}, {"key": 1, "value": "00"}, "00"])
def test_what_is_no_part_of_a_proof_in_json(part: object) -> None:
    with pytest.raises(CodecError) as caught:
        StateProof.from_json({"parts": [part]})
    assert caught.value.code == "WRONG_TYPE"


@pytest.mark.parametrize("size", [1, 96])
def test_the_shortest_and_the_longest_key(size: int) -> None:
    stored = StoredTree({b"k" * size: b"v"})
    proof = StateProof.decode(stored.prove([b"k" * size]).raw)
    assert proof.check(stored.root).get(b"k" * size) == b"v"


@pytest.mark.parametrize("leaf", [7, [1], [1, 2, 3], ["1", []]])
def test_what_is_no_event(leaf: object) -> None:
    with pytest.raises(CodecError) as caught:
        _event(encode(leaf))
    assert caught.value.code == "WRONG_TYPE"
