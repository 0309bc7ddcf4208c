"""What a fake disk is made of: files with holes, folders, links, and the journal of names not yet safe."""

from dataclasses import dataclass, field

BLOCK = 4096


@dataclass(eq=False)
class Inode:
    """One thing on the disk; names point at it. Times in ns since the epoch."""

    number: int
    mtime_ns: int
    ctime_ns: int


@dataclass(eq=False)
class File(Inode):
    """Content in blocks; a block that is not there is a hole and reads as zeros."""

    size: int = 0
    blocks: dict[int, bytearray] = field(default_factory=dict)
    nlink: int = 0
    writers: int = 0
    readers: int = 0
    mode: int = 0o644

    def write_at(self, offset: int, data: bytes) -> None:
        """Put `data` at `offset`, growing the file as needed."""
        self.size = max(self.size, offset + len(data))
        done = 0
        while done < len(data):
            index, start = divmod(offset + done, BLOCK)
            piece = data[done : done + BLOCK - start]
            block = self.blocks.setdefault(index, bytearray(BLOCK))
            block[start : start + len(piece)] = piece
            done += len(piece)

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; fewer at the end of the file."""
        end = min(offset + length, self.size)
        pieces: list[bytes] = []
        while offset < end:
            index, start = divmod(offset, BLOCK)
            stop = min(BLOCK, start + end - offset)
            block = self.blocks.get(index)
            pieces.append(bytes(block[start:stop]) if block is not None else bytes(stop - start))
            offset += stop - start
        return b"".join(pieces)

    def truncate(self, size: int) -> None:
        """Cut the file, or let it grow by a hole."""
        last, start = divmod(size, BLOCK)
        self.blocks = {i: b for i, b in self.blocks.items() if i < last or (i == last and start)}
        if last in self.blocks:
            self.blocks[last][start:] = bytes(BLOCK - start)
        self.size = size

    @property
    def has_holes(self) -> bool:
        """Whether some block below the size was never written."""
        return len(self.blocks) < -(-self.size // BLOCK)


@dataclass(eq=False)
class Folder(Inode):
    """Names now (`entries`), and the names that a power cut would leave (`durable`)."""

    entries: dict[bytes, Inode] = field(default_factory=dict)
    durable: dict[bytes, Inode] = field(default_factory=dict)


@dataclass(eq=False)
class Link(Inode):
    """A symbolic link."""

    target: bytes = b""


@dataclass(eq=False)
class Fifo(Inode):
    """Something that is neither file nor folder."""


Change = tuple[Folder, bytes, Inode | None]
"""A name in a folder, and what it points at from now on; None when it is gone."""


class Journal:
    """Changes of names in their order, as ext4 keeps them: a rename is one change, never half of it.

    Syncing a folder makes durable everything up to the last change of that folder, because the journal is
    written in order. Whatever comes later is lost in a power cut.
    """

    def __init__(self) -> None:
        self._pending: list[tuple[Change, ...]] = []

    def record(self, changes: tuple[Change, ...], *, by_user: bool) -> None:
        """Apply `changes`; a user's are durable at once, unless one of ours is still pending before them."""
        for folder, name, inode in changes:
            _apply(folder.entries, name, inode)
        self._pending.append(changes)
        if by_user and len(self._pending) == 1:
            self._commit(1)

    def sync(self, folder: Folder) -> None:
        """Make durable everything up to the last change of `folder`."""
        touching = [
            i
            for i, changes in enumerate(self._pending)
            if any(changed is folder for changed, _, _ in changes)
        ]
        if touching:
            self._commit(touching[-1] + 1)

    def forget(self) -> None:
        """Lose every pending change."""
        self._pending.clear()

    def _commit(self, count: int) -> None:
        for changes in self._pending[:count]:
            for folder, name, inode in changes:
                _apply(folder.durable, name, inode)
        del self._pending[:count]


def _apply(names: dict[bytes, Inode], name: bytes, inode: Inode | None) -> None:
    if inode is None:
        names.pop(name, None)
    else:
        names[name] = inode
