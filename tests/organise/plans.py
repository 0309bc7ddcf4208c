"""Plans that tests carry out."""

from janfs.catalogue.entries import Plan
from janfs.folder import paths
from janfs.folder.filesystem import FileSystem
from tests.organise.hands import stamp

SOURCE, TARGET = "models/x.gguf", "models/x/x.gguf"
CONTENT, JSON = b"GGUF and so on", b'{"name": "x"}'
MANIFEST = "models/x/model.json"


def move_plan(fs: FileSystem, source: str = SOURCE, target: str = TARGET) -> Plan:
    return Plan(op="op1", uid="u1", position=1, source=source, target=target, stamp=stamp(fs, source))


TRASH = Plan(
    op="op1", uid="u1", position=1, source="models/x", target=f"{paths.TRASH}/op1/x", reason="delete"
)
WRITE = Plan(op="op1", uid="u1", position=1, target=MANIFEST, reason="write")
