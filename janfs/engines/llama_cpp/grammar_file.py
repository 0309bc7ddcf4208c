"""The grammar that a model's folder keeps for answers without a form of their own."""

import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import NamedTuple, Protocol

from janfs.engines.llama_cpp.grammar import MAX_GRAMMAR
from janfs.engines.protocol import SamplingParams, SpecPart
from janfs.errors import InvalidInput, LoadFailed


class Grammar(NamedTuple):
    """The GBNF of a file, and which file of what content that was; its path is its name."""

    text: str
    file: SpecPart


class Judge(Protocol):
    """What can tell whether a grammar may be used: a model."""

    def check(self, params: SamplingParams) -> None:
        """Raises `InvalidInput` for a grammar that cannot be used."""
        ...


def read_grammar(folder: Path, name: str, judge: Judge) -> Grammar:
    """The GBNF in a folder's file, which is no link. Raises `LoadFailed`, naming the file."""
    try:
        descriptor = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, encoding="utf-8", newline="") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise LoadFailed(f"The grammar_file {name} is no file.")
            text = file.read(MAX_GRAMMAR + 1)
        judge.check(SamplingParams(grammar=text))
    except OSError as error:
        why = "it is a link" if error.errno == errno.ELOOP else error.strerror
        raise LoadFailed(f"The grammar_file {name} cannot be read: {why}.") from error
    except UnicodeDecodeError as error:
        raise LoadFailed(f"The grammar_file {name} is no text in UTF-8.") from error
    except InvalidInput as error:
        raise LoadFailed(f"The grammar_file {name} cannot be used: {error.detail}") from error
    digest = hashlib.sha256(text.encode()).hexdigest()
    part = SpecPart(name, found.st_size, found.st_mtime_ns, found.st_ino, sha256=digest)
    return Grammar(text, part)
