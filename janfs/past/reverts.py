"""What bringing a model.json back to a moment would change, and whether there is anything to bring back."""

from msgspec import Struct

from janfs.catalogue.catalogue import Catalogue
from janfs.catalogue.entries import Model
from janfs.errors import CannotRevert, ManifestError
from janfs.history.versions import Version, in_force
from janfs.log.reader import LogReader
from janfs.manifest import jsonc
from janfs.manifest.secrets import filled
from janfs.manifest.spellings import read_manifest
from janfs.past.moments import check_told
from janfs.past.texts import ModelDiff, compare_texts, text_of, versions_of
from janfs.views import stream_of


class Target(Struct, frozen=True):
    """The text that a model is to have again, that of position `to`, and the last one that it had."""

    model: Model
    to: int
    version: Version
    text: bytes
    last: Version
    last_text: bytes


def model_of(catalogue: Catalogue, name: str) -> Model:
    """The model, present or removed, that could be reverted. Raises `ModelNotFound`, `CannotRevert`."""
    uid = stream_of(catalogue, name)
    if uid not in catalogue.models:
        raise CannotRevert(
            f"'{name}' is an engine's file; only a model's model.json is brought back. "
            f"`janfs diff {name} --text` shows what to change.",
            param="id",
        )
    return catalogue.models[uid]


def target_of(log: LogReader, catalogue: Catalogue, name: str, position: int) -> Target | None:
    """What a model, present or deleted, would be brought back to; None for one that lies in the trash, and of
    which the log has no model.json: it is brought back as it lies there.

    Raises `ModelNotFound`, `EventsArchived`, or `CannotRevert` with what is possible instead.
    """
    model = model_of(catalogue, name)
    called = model.id if stream_of(catalogue, model.id) == model.uid else model.uid
    found = versions_of(log, model.uid)
    texts = [each for each in found if each.sha256 is not None]
    if model.trash is not None and not texts:
        as_it_lies = (
            f" `janfs revert {called} --to {log.start.position}` brings it back as it lies in the trash, "
            "unless that was emptied."
        )
        check_told(log, position, as_it_lies)
        return None
    check_told(log, position)
    version = in_force(found, position)
    if version is None:
        sound = [each.position for each in texts if each.problem is None]
        before = [each for each in sound if each <= position]
        hint = f" Its first one is of #{sound[0]}." if sound else ""
        hint = f" Its last one before was of #{before[-1]}." if before else hint
        if model.trash is not None and sound:
            last = (before or sound)[-1]
            hint += (
                f" It was put into the trash: `janfs revert {called} --to {last}` brings it back, unless "
                "that was emptied."
            )
        raise CannotRevert(
            f"'{model.id}' had no model.json at #{position} that could be read.{hint}"
            + _hint_at_deleted(catalogue, model),
            param="to",
        )
    if model.removed is not None and model.trash is None:
        raise CannotRevert(
            f"'{model.id}' was not deleted through janfs: its files were taken out of the folder, and are "
            f"not in the trash. Put its .gguf back into {model.folder}, and it is there again as itself; "
            "then revert it. The text of its model.json is kept: "
            f"`janfs show {model.id} --at {version.position}`.",
            param="to",
        )
    text = text_of(log, version)
    try:
        read_manifest(text)
    except ManifestError as error:
        raise CannotRevert(
            f"The model.json of #{position} cannot be read by this janfs: {error.detail}", param="to"
        ) from error
    last_text = text_of(log, texts[-1])
    try:
        filled(version.path, last_text, text)
    except ManifestError as error:
        raise CannotRevert(f"{error.path}: {error.detail}", param="to") from error
    return Target(model, position, version, text, texts[-1], last_text)


def _hint_at_deleted(catalogue: Catalogue, model: Model) -> str:
    """Where a model of the same id that was deleted is to be found, if one was; the disk is not looked at."""
    of_id = (each for each in catalogue.models.values() if each.trash is not None and each.id == model.id)
    last = max(of_id, key=lambda each: each.position, default=model)
    if last.uid == model.uid:
        return ""
    return (
        " A model that was called so before was put into the trash: revert it by its uid, "
        f"{last.uid}, unless that was emptied."
    )


def preview(log: LogReader, catalogue: Catalogue, name: str, position: int) -> ModelDiff:
    """What would change in the file. Raises as `target_of`."""
    target = target_of(log, catalogue, name, position)
    if target is None:
        model = model_of(catalogue, name)
        return ModelDiff(model.id, catalogue.position, position, None, None, [], "")
    now = jsonc.parse(target.last_text) if target.last.problem is None else {}
    return compare_texts(
        target.model.id,
        (catalogue.position, target.last, now, target.last_text),
        (position, target.version, jsonc.parse(target.text), target.text),
    )
