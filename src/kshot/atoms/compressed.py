"""Text files that may be compressed by xz, read as streams that cannot grow without bound."""

from __future__ import annotations

import io
import lzma
from pathlib import Path
from typing import Any

from kshot.core.errors import DataError

MOST_BYTES = 1 << 30  # of text that one compressed file may hold
MOST_MEMORY = 1 << 27  # of a decompressor: the strongest preset of xz needs half of it
CHUNK = 1 << 16


def open_text(path: Path, most: int = MOST_BYTES) -> io.TextIOWrapper:
    """Open a text file for reading; one that ends in ``.xz`` is decompressed on the way.

    Reading raises DataError where a compressed file is damaged, truncated, or holds too much.

    Args:
        path: the file.
        most: bytes that may come out of a compressed file.
    """
    if path.suffix.lower() != ".xz":
        return path.open(encoding="utf-8")
    return io.TextIOWrapper(io.BufferedReader(_Decompressed(path, most)), encoding="utf-8")


class _Decompressed(io.RawIOBase):
    """The bytes inside a file of xz, as far as they are asked for."""

    def __init__(self, path: Path, most: int) -> None:
        super().__init__()
        self._path, self._most = path, most
        self._file = path.open("rb")
        self._inside = lzma.LZMADecompressor(lzma.FORMAT_XZ, MOST_MEMORY)
        self._count = 0

    def readable(self) -> bool:
        """Whether it can be read: always."""
        return True

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - any writable buffer
        """Fill the buffer as far as one piece goes; 0 at the end."""
        piece = b""
        while not piece and not self._inside.eof:
            piece = self._piece(min(len(buffer), CHUNK))
        buffer[: len(piece)] = piece
        self._count += len(piece)
        if self._count > self._most:
            got = f"{self._path}, which holds more"
            todo = "Decompress it yourself if you trust it."
            raise DataError(f"at most {self._most} bytes of text in a file of xz", got, todo)
        return len(piece)

    def close(self) -> None:
        """Close the file, too."""
        self._file.close()
        super().close()

    def _piece(self, most: int) -> bytes:
        given = self._file.read(CHUNK) if self._inside.needs_input else b""
        if self._inside.needs_input and not given:
            raise self._damaged("it is truncated")
        try:
            return self._inside.decompress(given, most)
        except lzma.LZMAError as error:
            raise self._damaged(str(error)) from error

    def _damaged(self, why: str) -> DataError:
        return DataError("a whole file of xz", f"{self._path}: {why}", "Fetch it again.")
