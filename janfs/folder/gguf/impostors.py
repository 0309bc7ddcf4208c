"""Files that bear a model's name and are something else: what they are, and what helps."""

from janfs.folder.gguf.cursor import ReadAt

_LOOKED_AT = 64  # bytes from the start
_KNOWN: tuple[tuple[bytes, str], ...] = (
    # https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
    (
        b"version https://git-lfs",
        "It is a Git LFS pointer, which stands for the file: `git lfs pull` in its folder fetches it.",
    ),
    (b"<!doctype html", "It is a web page: the download needed a login, or its address was wrong."),
    (b"<html", "It is a web page: the download needed a login, or its address was wrong."),
    (b"pk\x03\x04", "It is a ZIP archive: unpack it."),
    (b"\x1f\x8b", "It is compressed with gzip: unpack it."),
    (b"\x28\xb5\x2f\xfd", "It is compressed with Zstandard: unpack it."),
    (b"tjgg", "It is of the time before GGUF: convert the model again."),  # "ggjt", little-endian
)


def what_it_is(read_at: ReadAt, size: int) -> str:
    """What a file that is no GGUF seems to be, as a sentence; `""` when nothing is known of it."""
    start = read_at(0, min(size, _LOOKED_AT)) if size else b""
    if start and not any(start[:8]):
        return "It starts with zeros: space reserved for a download?"
    lowered = start.lstrip().lower()
    return next((text for magic, text in _KNOWN if lowered.startswith(magic)), "")
