"""GGUF headers: a bounded reader for files that nobody vouches for, and the facts worth remembering."""

from janfs.folder.gguf.facts import GgufFacts

__all__ = ("GgufFacts",)
