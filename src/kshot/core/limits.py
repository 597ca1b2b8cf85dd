"""How large what a compressed file announces may be: bounded before anything is allocated."""

from __future__ import annotations

from io import BufferedIOBase

UNSUSPICIOUS = 1 << 26  # bytes: up to here anything may be as compressible as it likes
RATIO = 100  # beyond, what data shrink by at most: text by ten, weights by a tenth, bombs by more
MOST = 1 << 34  # bytes: more than one file of the field holds


class TooLargeError(ValueError):
    """A file asks for more memory than its size can be worth."""


def allowed_bytes(compressed: int, most: int = MOST) -> int:
    """Return how many bytes a file of so many may become.

    Args:
        compressed: bytes on disk.
        most: bytes that no file of its kind needs.
    """
    return min(max(UNSUSPICIOUS, RATIO * compressed), most)


def read_at_most(stream: BufferedIOBase, limit: int) -> bytes:
    """Return all that a stream holds.

    Raises:
        TooLargeError: that is more than ``limit`` bytes; no more than one beyond it were read.
    """
    content = stream.read(limit + 1)
    if len(content) > limit:
        raise TooLargeError(f"more than {limit} bytes once decompressed")
    return content
