"""A verification worker: ``python -m node.worker_main``, fed by ``node.workers`` over its stdin.

Frames are a 4-byte big-endian length and that many bytes. A request is a MessagePack array of
[key, tag, message, signature]; the answer holds one byte per item, 1 for a valid signature.
It imports next to nothing, so that it starts fast, and ends when stdin does: a node that was
killed leaves no orphans.
"""

from __future__ import annotations

import signal
import sys

import msgpack

from consensus.primitives.crypto import verify

FRAME_BYTES_MAX = 16 * 1024 * 1024
LENGTH_BYTES = 4


def main() -> int:
    """Serve until stdin ends (exit 0) or holds something that the node never sends (exit 1)."""
    # Ctrl-C in a terminal reaches the whole process group; the node alone decides when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while True:
        head = source.read(LENGTH_BYTES)
        if len(head) < LENGTH_BYTES:
            return 0
        size = int.from_bytes(head, "big")
        if size > FRAME_BYTES_MAX:
            return 1
        payload = source.read(size)
        if len(payload) < size:
            return 0
        answer = bytes(
            [
                verify(key, tag, message, signature)
                for key, tag, message, signature in msgpack.unpackb(payload)
            ]
        )
        try:
            sink.write(len(answer).to_bytes(LENGTH_BYTES, "big") + answer)
            sink.flush()
        except BrokenPipeError:  # the node went away while we worked
            return 0


if __name__ == "__main__":
    sys.exit(main())
