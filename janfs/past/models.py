"""Models as they were at a moment of the past."""

from msgspec.structs import replace

from janfs.catalogue.catalogue import Catalogue, files_of, find_model
from janfs.errors import ModelNotFound, NotFound
from janfs.folder import paths
from janfs.listing import ModelList
from janfs.log.reader import LogReader
from janfs.manifest.secrets import as_recorded
from janfs.pipeline.snapshot import Snapshot
from janfs.views import ModelView, find_view, stopped, stream_of


def models_at(then: Catalogue) -> bytes:
    """Every model that there was, as JSON in OpenAI's envelope."""
    return ModelList().encode(Snapshot(then), stopped)


def model_at(log: LogReader, now: Catalogue, then: Catalogue, name: str) -> ModelView:
    """A model as it was, by an id or alias of then or of now, or by uid. Raises `NotFound`."""
    view = find_view(Snapshot(then), name, stopped) or find_view(
        Snapshot(then), _id_then(now, then, name), stopped
    )
    if view is None:
        raise NotFound(f"There was no model '{name}' at position {then.position}.", param="model")
    return replace(view, at=then.position, model_json=_text(log, then, view.id))


def _id_then(now: Catalogue, then: Catalogue, name: str) -> str:
    try:
        model = then.models.get(stream_of(now, name))
    except ModelNotFound:
        return name
    return name if model is None else model.id


def _text(log: LogReader, then: Catalogue, model_id: str) -> str | None:
    model = find_model(then, model_id)
    files = [] if model is None else files_of(then, model.uid)
    file = next((file for file in files if paths.is_manifest(file.path)), None)
    text = None if file is None or file.document is None else log.document(file.document)
    return None if file is None or text is None else as_recorded(file.path, text).decode(errors="replace")
