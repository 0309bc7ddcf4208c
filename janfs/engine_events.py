"""What engines do, as the log has it. Pure."""

import msgspec

from janfs.engines.protocol import (
    EngineCrashed,
    EngineFact,
    EngineStarted,
    EngineStartFailed,
    EngineStopped,
)
from janfs.engines.remote.model import RemoteModel
from janfs.events import types as e
from janfs.past.fingerprints import started_parts


def event_of(fact: EngineFact) -> e.Event:
    """The event for a fact of the pool's."""
    match fact:
        case EngineStarted():
            spec = fact.spec
            return e.ModelStarted(
                spec.engine,
                spec.fingerprint,
                fact.load_seconds,
                fact.pid,
                msgspec.to_builtins(spec.settings),
                started_parts(spec.parts),
            )
        case EngineStopped():
            return e.ModelStopped(fact.fingerprint, fact.reason)
        case EngineStartFailed():
            return e.StartFailed(fact.fingerprint, fact.reason)
        case EngineCrashed():
            end = fact.exit
            return e.EngineCrashed(fact.fingerprint, fact.requests, end.code, end.signal, end.stderr_tail)


def answered(model: RemoteModel) -> e.ModelStarted:
    """The event for the first answer of a model elsewhere. It has no process and no files here."""
    return e.ModelStarted(model.engine.id, model.fingerprint, 0.0, 0, model.settings)
