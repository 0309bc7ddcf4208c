"""The one error tree. HTTP statuses are assigned in `janfs.api.errors`, exit codes in `janfs.cli.errors`."""

from typing import ClassVar


class JanfsError(Exception):
    """Base of every error that janfs raises on purpose.

    `code` is a stable, machine-readable name; `detail` says in plain words what is wrong, where,
    and what to do. `param` names the offending input, where there is one.
    """

    code: ClassVar[str] = "internal_error"

    def __init__(self, detail: str, *, param: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.param = param


class InvalidInput(JanfsError):
    """The caller sent something that cannot be acted on."""

    code = "invalid_value"


class UnsupportedParameter(InvalidInput):
    """The caller asks for something that is not offered (yet); it is refused rather than ignored."""

    code = "unsupported_parameter"


class NotFound(JanfsError):
    """The named thing does not exist."""

    code = "not_found"


class ModelNotFound(NotFound):
    """No model answers to that id."""

    code = "model_not_found"

    def __init__(self, model_id: str) -> None:
        super().__init__(
            f"The model '{model_id}' does not exist. GET /v1/models and `janfs ls` list those that do.",
            param="model",
        )


class ModelNotRunnable(JanfsError):
    """The model is known, but cannot be run as it stands (arriving, missing, invalid, ...)."""

    code = "model_not_ready"


class PreconditionFailed(JanfsError):
    """What the caller wants to change is not what they saw."""

    code = "precondition_failed"


class ContextExceeded(InvalidInput):
    """The prompt does not fit the context; refused before anything is computed."""

    code = "exceed_context_size_error"

    def __init__(self, n_prompt_tokens: int, n_ctx: int, *, param: str | None = "messages") -> None:
        super().__init__(
            f"The prompt has {n_prompt_tokens} tokens, the context of this model holds {n_ctx}. "
            "Send a shorter prompt, or raise engine_parameters.ctx_len in model.json.",
            param=param,
        )
        self.n_prompt_tokens = n_prompt_tokens
        self.n_ctx = n_ctx


class CannotRevert(JanfsError):
    """A model cannot be brought back to what it was, or not as it was asked for."""

    code = "cannot_revert"


class EngineError(JanfsError):
    """An engine could not do what was asked. `retry_after` so many seconds it may, where that is known."""

    code = "engine_error"

    def __init__(self, detail: str, *, param: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(detail, param=param)
        self.retry_after = retry_after


class LoadFailed(EngineError):
    """The worker could not load the model."""

    code = "model_load_failed"


class OutOfMemory(LoadFailed):
    """There was less memory than the model took as it was loaded."""

    code = "out_of_memory"


class DoesNotFit(EngineError):
    """The model takes more memory than there is, whatever may be lowered of its settings."""

    code = "model_does_not_fit"


class WorkerCrashed(EngineError):
    """The worker process died; its requests died with it, the next request starts a fresh one."""

    code = "engine_crashed"


class UpstreamError(EngineError):
    """A server elsewhere could not be reached, or answered with an error.

    `status` is the HTTP status of our own answer, `kind` its code. Of a prompt that does not fit, `counts`
    are its tokens and those of the context. `elsewhere` says that another server may do better, `broken` that
    the connection did not come about or broke, `of_model` that it may let us have other models.
    """

    code = "upstream_error"

    def __init__(
        self,
        detail: str,
        *,
        status: int = 502,
        kind: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        counts: tuple[int, int] | None = None,
        elsewhere: bool = False,
        broken: bool = False,
        of_model: bool = False,
    ) -> None:
        super().__init__(detail, param=param, retry_after=retry_after)
        self.status = status
        self.kind = kind or self.code
        self.counts = counts
        self.elsewhere = elsewhere
        self.broken = broken
        self.of_model = of_model


class Busy(JanfsError):
    """A bounded queue is full. `retry_after` is in seconds."""

    code = "server_busy"

    def __init__(self, detail: str, *, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class GgufError(JanfsError):
    """A file is not a GGUF file that can be used."""

    code = "gguf_invalid"


class GgufTruncated(GgufError):
    """The file ends before its header does. `needed` is where that ends at the earliest, in bytes."""

    code = "gguf_truncated"

    def __init__(self, detail: str, *, needed: int) -> None:
        super().__init__(detail)
        self.needed = needed


class ManifestError(JanfsError):
    """A model.json cannot be read. `line` and `column` count from 1; 0 where there is no position."""

    code = "json_invalid"

    def __init__(self, detail: str, *, line: int = 0, column: int = 0, path: str = "") -> None:
        super().__init__(detail)
        self.line = line
        self.column = column
        self.path = path


class LogError(JanfsError):
    """The event log refused or failed."""

    code = "log_error"


class PipelineFailed(JanfsError):
    """A defect, maybe in something else, kept the pipeline from doing what was asked; it may do it later.

    It looks at everything again after `retry_after` seconds, where that is known.
    """

    code = "pipeline_failed"

    def __init__(self, *, retry_after: float | None = None) -> None:
        super().__init__("Something went wrong inside janfs, and this was not done; its log says what.")
        self.retry_after = retry_after


class EventsArchived(NotFound):
    """What is asked about happened before the seam of a compacted log."""

    code = "events_archived"

    def __init__(self, position: int, archive: str, hint: str = "") -> None:
        super().__init__(
            f"The log begins after position {position}: what was before is archived in {archive}. "
            f"`janfs log import` makes a log of it in an empty root, which can be asked.{hint}"
        )


class WrongExpectedVersion(LogError):
    """A stream has moved on since it was read."""

    code = "wrong_expected_version"

    def __init__(self, stream: str, expected: int, actual: int) -> None:
        super().__init__(f"Stream '{stream}' is at version {actual}, not {expected}.")
        self.stream = stream
        self.expected = expected
        self.actual = actual


class LogCorrupt(LogError):
    """The hash chain, the guards or the schema of the log are not what they must be."""

    code = "log_corrupt"


class EventDamaged(LogCorrupt):
    """One event cannot be read any more; all others can."""

    code = "event_damaged"

    def __init__(self, position: int, kind: str) -> None:
        super().__init__(
            f"Event {position} of the log ({kind}) is damaged, so that what it says cannot be told. `janfs "
            "verify` tells more, and `janfs restore` puts a backup of the log in its place."
        )
        self.position = position


class LogTooNew(LogError):
    """The database was written by a newer janfs."""

    code = "log_too_new"


class RootLocked(JanfsError):
    """Another janfs owns this root."""

    code = "root_locked"


class RootUnusable(JanfsError):
    """The root cannot be used: absent, not writable, or its disk is unavailable."""

    code = "root_unusable"


class FolderError(JanfsError):
    """An operation on the models folder failed."""

    code = "folder_error"


class ManifestUntouched(FolderError):
    """A model.json is not to be changed as it stands: it cannot be read, is read-only, is not there, ..."""

    code = "model_json_untouched"


class OthersInside(FolderError):
    """A model's folder is not to be moved, for other models in it would go along."""

    code = "other_models_inside"


class OtherDisk(FolderError):
    """A file cannot be moved without being copied, because its new place is on another disk."""

    code = "other_disk"


class Unseen(JanfsError):
    """What became of something on disk cannot be seen, or not be flushed, at the moment."""

    code = "disk_unseen"


class FilesCorrupt(JanfsError):
    """Model files do not hold what they held, or cannot be read."""

    code = "files_corrupt"


class ArchiveError(JanfsError):
    """An archive of a model is damaged, or is not one that could be trusted."""

    code = "archive_invalid"


class DownloadError(JanfsError):
    """A file could not be fetched, or is not what it should be."""

    code = "download_failed"


class DownloadRefused(DownloadError):
    """A file may not be fetched from there."""

    code = "download_refused"


class SettingsError(JanfsError):
    """A setting is missing, contradictory or out of range."""

    code = "bad_setting"
