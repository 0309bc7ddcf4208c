"""GGUF headers: a bounded reader for files that nobody vouches for, and the facts worth remembering."""

from janfs.folder.gguf.cursor import ReadAt
from janfs.folder.gguf.facts import GgufFacts, facts
from janfs.folder.gguf.header import GgufHeader, read_header

__all__ = ("GgufFacts", "GgufHeader", "ReadAt", "facts", "read_header")
