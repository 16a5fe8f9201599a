#!/usr/bin/env python3
"""Checks a Hansa evidence bundle with nothing but Python 3.9: no library, nothing of Hansa's.

    python3 verify_evidence.py FILE CHAIN_ID        the chain's id, 64 hex digits

Prints what the file proves and ends with 0, or says why it proves nothing and ends with 1. The
records are shown as they stand in the state; docs/spec/evidence.md says what is checked.
"""

# mypy: ignore-errors
# ruff: noqa: B905

import hashlib
import sys
import time

# --- canonical MessagePack, as far as it is used --------------------------------------------------


def read(raw, at=0, depth=0):
    """(value, where it ends). Text is str, bytes are bytes; no floats, no extensions."""
    if depth > 32:
        raise ValueError("nested too deep")
    tag = raw[at]
    at += 1
    if tag < 0x80 or tag >= 0xE0:
        return (tag if tag < 0x80 else tag - 256), at
    if 0xC0 <= tag <= 0xC3 and tag != 0xC1:
        return {0xC0: None, 0xC2: False, 0xC3: True}[tag], at
    if 0xCC <= tag <= 0xD3:
        size = 1 << (tag & 3)
        return int.from_bytes(take(raw, at, size), "big", signed=tag >= 0xD0), at + size
    if 0x80 <= tag < 0xC0:
        kind, size = ("map", tag & 15) if tag < 0x90 else ("array", tag & 15)
        if tag >= 0xA0:
            kind, size = "text", tag & 31
    else:
        kind, width = {
            0xC4: ("bytes", 1), 0xC5: ("bytes", 2), 0xC6: ("bytes", 4), 0xD9: ("text", 1),
            0xDA: ("text", 2), 0xDB: ("text", 4), 0xDC: ("array", 2), 0xDD: ("array", 4),
            0xDE: ("map", 2), 0xDF: ("map", 4),
        }[tag]  # fmt: skip
        size, at = int.from_bytes(take(raw, at, width), "big"), at + width
    if kind in ("bytes", "text"):
        found = take(raw, at, size)
        return (found if kind == "bytes" else found.decode()), at + size
    items = []
    for _ in range(size * (2 if kind == "map" else 1)):
        item, at = read(raw, at, depth + 1)
        items.append(item)
    return (items if kind == "array" else dict(zip(items[::2], items[1::2]))), at


def take(raw, at, size):
    if at + size > len(raw):
        raise ValueError("it ends too early")
    return raw[at : at + size]


def whole(raw):
    value, end = read(raw)
    if end != len(raw):
        raise ValueError("more follows than it should")
    return value


def write(value):
    """The canonical bytes of a value."""
    if value is None or isinstance(value, bool):
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value]
    if isinstance(value, int):
        if 0 <= value < 128 or -32 <= value < 0:
            return bytes([value % 256])
        for at, size in enumerate((1, 2, 4, 8)):
            if value >= 0 and value < 1 << 8 * size:
                return bytes([0xCC + at]) + value.to_bytes(size, "big")
            if value < 0 and value >= -(1 << 8 * size - 1):
                return bytes([0xD0 + at]) + value.to_bytes(size, "big", signed=True)
        raise ValueError("a number beyond 64 bits")
    if isinstance(value, bytes):
        return head(len(value), None, 0, (0xC4, 0xC5, 0xC6)) + value
    if isinstance(value, str):
        raw = value.encode()
        return head(len(raw), 0xA0, 32, (0xD9, 0xDA, 0xDB)) + raw
    if isinstance(value, list):
        return head(len(value), 0x90, 16, (None, 0xDC, 0xDD)) + b"".join(map(write, value))
    pairs = sorted((write(key), write(one)) for key, one in value.items())
    return head(len(value), 0x80, 16, (None, 0xDE, 0xDF)) + b"".join(a + b for a, b in pairs)


def head(size, short, below, tags):
    if size < below:
        return bytes([short + size])
    for tag, width in zip(tags, (1, 2, 4)):
        if tag is not None and size < 1 << 8 * width:
            return bytes([tag]) + size.to_bytes(width, "big")
    raise ValueError("too long")


def sha256(raw):
    return hashlib.sha256(raw).digest()


# --- Ed25519 (RFC 8032), verifying only -----------------------------------------------------------

P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def recover(y, odd):
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - xx) % P or (x == 0 and odd):
        raise ValueError("no point of the curve")
    return P - x if x % 2 != odd else x


def point(raw):
    y = int.from_bytes(raw, "little")
    odd, y = y >> 255, y & (1 << 255) - 1
    if y >= P:
        raise ValueError("no point of the curve")
    x = recover(y, odd)
    return x, y, 1, x * y % P


def add(a, b):
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    return (
        (f - e) * (h - g) % P,
        (h + g) * (f + e) % P,
        (h - g) * (h + g) % P,
        (f - e) * (f + e) % P,
    )


def times(number, base):
    found = (0, 1, 1, 0)
    while number:
        if number & 1:
            found = add(found, base)
        base, number = add(base, base), number >> 1
    return found


def packed(a):
    inverse = pow(a[2], P - 2, P)
    x, y = a[0] * inverse % P, a[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE_X = recover(BASE_Y, 0)
BASE = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)


def signed(key, tag, message, signature):
    message = tag + b"\0" + message
    s = int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or s >= Q:
        return False
    mixed = hashlib.sha512(signature[:32] + key + message).digest()
    x, y, z, t = times(int.from_bytes(mixed, "little") % Q, point(key))
    return packed(add(times(s, BASE), (P - x, y, z, P - t))) == signature[:32]


# --- trees and lists ------------------------------------------------------------------------------


def varint(number):
    raw = b""
    while number > 127:
        raw, number = raw + bytes([number & 127 | 128]), number >> 7
    return raw + bytes([number])


def state_of(parts, root):
    """[(key, value or None)] and, for each gap around them, whether nothing stands there."""
    stack, leaves, closed = [], [], [True]
    for part in parts:
        if part is None:
            right, left = stack.pop(), stack.pop()
            stack.append(sha256(b"\x01" + left + right))
        elif isinstance(part, bytes):
            need(len(part) == 32, "a hash in a state proof")
            stack.append(part)
            closed[-1] = False
        else:
            key, value = part[0], part[1] if len(part) == 2 else None
            hashed = sha256(value) if len(part) == 2 else part[2]
            need(not leaves or leaves[-1][0] < key, "the order of the keys")
            stack.append(sha256(b"\0" + varint(len(key)) + key + b"\x20" + hashed))
            leaves.append((key, value))
            closed.append(True)
    need((stack or [sha256(b"")]) == [root], "a state proof")
    return leaves, closed


def in_list(root, proof, leaf):
    """RFC 9162, 2.1.3.2."""
    index, size, path = proof
    need(index < size, "a place in a list")
    found, last = sha256(b"\0" + leaf), size - 1
    for one in path:
        need(last > 0, "a path")
        if index & 1 or index == last:
            found = sha256(b"\x01" + one + found)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            found = sha256(b"\x01" + found + one)
        index, last = index >> 1, last >> 1
    need(last == 0 and found == root, "a place in a list")


def need(holds, what):
    if not holds:
        raise ValueError(f"{what} is wrong")


# --- the chain ------------------------------------------------------------------------------------

CHAIN, HEIGHT, TIME, TX_ROOT, RECEIPT_ROOT, STATE_ROOT = 1, 2, 4, 6, 7, 9
VALIDATORS, NEXT_VALIDATORS, HISTORY_ROOT = 10, 11, 16  # places in a header


def sealed_by(header, certificate, chain_id, members, quorum):
    height, round_, block, marks, seals = certificate
    need(header[CHAIN] == chain_id and sha256(write([members])) == header[VALIDATORS], "a header")
    need(height == header[HEIGHT] and block == sha256(write(header)), "a certificate")
    signers = [at for at in range(8 * len(marks)) if marks[at // 8] >> at % 8 & 1]
    need(len(marks) == (len(members) + 7) // 8 and len(signers) == len(seals), "a certificate")
    need(len(seals) >= quorum and all(at < len(members) for at in signers), "a quorum")
    message = write(["COMMIT", chain_id, height, round_, block])
    for at, seal in zip(signers, seals):
        need(signed(members[at][1], b"hansa/commit/1", message, seal), f"{members[at][0]}'s seal")
    return [members[at][0] for at in signers]


def check(raw, chain_id):
    need(sha256(raw[:-34]) == raw[-32:], "the checksum: the file was altered, or damaged, or it")
    bundle = whole(raw)
    need(write(bundle) == raw, "the form of the file")
    need(bundle[0] == "hansa-evidence/1", "the format")
    _, kind, subject, chain, document, turns, states, told, openings, _ = bundle
    need(chain == chain_id, "the chain: the file is about another one. It")
    if document is None:
        raise ValueError("the file was made without the genesis document")
    need(sha256(document) == chain_id, "the genesis document")
    content = whole(document)
    members = [[one[0], one[2], one[1]] for one in content[5]]
    crash = content[3][0] == "crash"
    trusted, names = None, []
    for (header, certificate), following, earlier in turns:
        n = len(members)
        names = sealed_by(
            header, certificate, chain_id, members, n // 2 + 1 if crash else (2 * n + 2) // 3
        )
        need(sha256(write(following)) == header[NEXT_VALIDATORS], "the next validators")
        if trusted is not None:
            need(header[HEIGHT] > trusted[HEIGHT], "the order of the headers")
            need(earlier[:2] == [trusted[HEIGHT], header[HEIGHT]], "a header's history")
            in_list(header[HISTORY_ROOT], earlier, sha256(write(trusted)))
        need(header[TIME] <= time.time() * 1000 + 5000, "a header's time")
        trusted, members = header, following[0]
    proven, texts = [state_of(one[0], trusted[STATE_ROOT]) for one in states], []
    for header, earlier, transaction, receipt in told:
        if earlier is None:
            need(header == trusted, "a block")
        else:
            need(earlier[:2] == [header[HEIGHT], trusted[HEIGHT]], "a block's place")
            in_list(trusted[HISTORY_ROOT], earlier, sha256(write(header)))
        in_list(header[RECEIPT_ROOT], receipt[1], receipt[0])
        calls = ["by itself"]
        if transaction is not None:
            wire_id = sha256(transaction[0])
            in_list(header[TX_ROOT], transaction[1], wire_id)
            body, signature = whole(transaction[0])
            fields = whole(body)
            need(signed(fields[2], b"hansa/transaction/1", body, signature), "a signature")
            calls = [f"{one[0]}.{one[1]}" for one in fields[3]] + [f"key {fields[2].hex()}"]
            need(whole(receipt[0])[0] == wire_id, "a transaction's receipt")
        texts.append((header[HEIGHT], header[TIME], ", ".join(calls), whole(receipt[0])[1]))
    values = [value for leaves, _ in proven for _, value in leaves if value is not None]
    values += [leaf[0] for one in told for leaf in one[2:] if leaf is not None]
    opened = []
    for commitment, salted in openings:
        need(sha256(b"hansa/commitment/1\0" + salted) == commitment, "an opening")
        need(any(commitment in value for value in values), "an opening's commitment")
        opened.append((commitment, whole(salted)[1]))
    return kind, subject, trusted, names, proven, texts, opened


def show(found):
    kind, subject, header, names, proven, texts, opened = found
    print(f"{kind} {subject}, as of block {header[HEIGHT]}, sealed by {', '.join(names)}")
    print(f"time {utc(header[TIME])}, chain {header[CHAIN].hex()}\n\nThe state:")
    for leaves, closed in proven:
        for at, (key, value) in enumerate(leaves):
            if not closed[at]:
                print("  ...")
            if value is not None:
                print(f"  {name(key)} = {plain(whole(value)) if value else ''}")
    print("  (between two neighbours without ... there is nothing else)")
    if kind == "item":
        start = b"batch\0holds\0\x01" + sha256(b"\x21" + subject.encode() + b"\0")
        if any(nothing_from(leaves, closed, start) for leaves, closed in proven):
            print("\nNo hold of a recall, or any other, stands or ever stood on the thing itself.")
    print("\nTransactions:")
    for height, at, calls, code in sorted(texts):
        print(f"  block {height}, {utc(at)}: {calls}: {code}")
    for commitment, value in opened:
        print(f"\nOpened {commitment.hex()}: {plain(value)}")


def nothing_from(leaves, closed, start):
    """Whether it is shown that no key begins so."""
    at = sum(key < start for key, _ in leaves)
    return closed[at] and not (at < len(leaves) and leaves[at][0].startswith(start))


def name(key):
    contract, map_name, rest = key.split(b"\0", 2)
    text = "".join(chr(one) if 32 <= one < 127 else f"\\x{one:02x}" for one in rest)
    return f"{contract.decode()}.{map_name.decode()} {text}"


def plain(value):
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return "[" + ", ".join(map(plain, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {plain(one)}" for key, one in value.items()) + "}"
    return str(value)


def utc(ms):
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(ms // 1000))


def main(words):
    if len(words) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        with open(words[0], "rb") as file:
            raw = file.read()
        show(check(raw, bytes.fromhex(words[1])))
    except (ValueError, LookupError, TypeError, OSError, RecursionError) as error:
        print(f"It proves nothing: {error or 'it is not whole'}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
