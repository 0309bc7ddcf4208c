"""The name of everything that an answer depends on. Pure."""

import hashlib
from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from janfs.engines.protocol import EngineSettings, RunSpec, SpecPart

_LENGTH = 16  # hexadecimal digits


def fingerprint(parts: Iterable[SpecPart], engine: str, settings: EngineSettings) -> str:
    """Names the files and engine settings that an answer depends on.

    The first digits of a SHA-256 over header digests, stamps and settings: the same after a restart,
    another one when a file or a setting changes. A text has no header; its whole content counts.
    """
    digest = hashlib.sha256(engine.encode())
    digest.update(msgspec.json.encode(settings, order="sorted"))
    for part in parts:
        stamp = {"size": part.size, "mtime_ns": part.mtime_ns, "inode": part.inode}
        digest.update(msgspec.json.encode([part.header_sha256 or part.sha256, stamp]))
    return digest.hexdigest()[:_LENGTH]


def with_settings(spec: RunSpec, settings: EngineSettings) -> RunSpec:
    """The same model with other settings, and so with another fingerprint."""
    if settings == spec.settings:
        return spec
    named = fingerprint(spec.parts, spec.engine, settings)
    return replace(spec, settings=settings, fingerprint=named)


def with_file(spec: RunSpec, read: SpecPart) -> RunSpec:
    """The same model with a file that its engine has read beside it, and so with another fingerprint.

    `read.path` is the file's name in the folder of the model.
    """
    folder = spec.parts[0].path.rpartition("/")[0] if spec.parts else ""
    spelled = read.path.replace("%", "%25")  # as all paths of the log
    parts = (*spec.parts, replace(read, path=f"{folder}/{spelled}"))
    return replace(spec, parts=parts, fingerprint=fingerprint(parts, spec.engine, spec.settings))
