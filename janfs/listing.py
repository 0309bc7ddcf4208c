"""The list of all models as JSON, quickly: most entries are the same as the last time it was asked for."""

import msgspec

from janfs.availability import arrivals_by_place, availability, closed_models, outsiders
from janfs.catalogue.catalogue import Catalogue, files_of, present_models
from janfs.catalogue.entries import Model, Root
from janfs.engines.protocol import EngineState
from janfs.pipeline.snapshot import Snapshot
from janfs.views import StateOf, model_view, outsider_view

_encoder = msgspec.json.Encoder()


class ModelList:
    """Lists every model as JSON; an entry that has not changed is not encoded again.

    An entry depends on the model's position and engine state alone, except while a file of it is arriving, or
    the disk does not show what came of something or may not be looked into, and that of a duplicate, which
    depends on the original too, of a part, which depends on the models that it fits, or of a model elsewhere,
    which depends on its engine's file; and on whether the root is there.
    """

    def __init__(self) -> None:
        self._order: list[Model] = []
        self._of: object = None  # the map of models that `_order` was made from
        self._root = Root()
        self._encoded: dict[str, tuple[int, str, str | None, bytes]] = {}
        self._last: list[bytes] | None = None
        self._body = b""

    def encode(self, snapshot: Snapshot, state_of: StateOf) -> bytes:
        """The list in OpenAI's envelope, models by id, then the files without one."""
        catalogue = snapshot.catalogue
        self._arrange(catalogue)
        if catalogue.root != self._root:
            self._root = catalogue.root
            self._encoded.clear()
        arrivals, closed = arrivals_by_place(snapshot), closed_models(snapshot)
        entries: list[bytes] = []
        for model in self._order:
            state = state_of(model.uid)
            unsettled = snapshot.unsettled.get(model.uid)
            if model.folder in arrivals or unsettled is not None or model.uid in closed:
                arrival = arrivals.get(model.folder)
                now = availability(catalogue, model, arrival, unsettled, closed.get(model.uid))
                entries.append(_encoder.encode(model_view(catalogue, model, state, now)))
            else:
                entries.append(self._entry(catalogue, model, state))
        entries += [_encoder.encode(outsider_view(outsider)) for outsider in outsiders(snapshot)]
        if entries != self._last:  # cheap, as most entries are the very same objects
            # Joined, since formatting megabytes of bytes takes seven times as long.
            self._body = b"".join((b'{"object":"list","data":[', b",".join(entries), b"]}"))
            self._last = entries
        return self._body

    def _entry(self, catalogue: Catalogue, model: Model, state: EngineState) -> bytes:
        known = self._encoded.get(model.uid)
        if known is not None:
            position, state_name, reason, encoded = known
            if position == model.position and state_name == state.state and reason == state.reason:
                return encoded
        files = files_of(catalogue, model.uid)
        encoded = _encoder.encode(model_view(catalogue, model, state, files=files))
        alone = model.remote is None and model.status != "part"
        if alone and not any(file.duplicate_of for file in files):
            self._encoded[model.uid] = (model.position, state.state, state.reason, encoded)
        return encoded

    def _arrange(self, catalogue: Catalogue) -> None:
        if catalogue.models is self._of:
            return
        self._order = sorted(present_models(catalogue), key=lambda model: model.id)
        present = {model.uid for model in self._order}
        for uid in self._encoded.keys() - present:
            del self._encoded[uid]
        self._of = catalogue.models
