"""Which models a projector or an adapter fits, by what the headers say. Pure.

A width alone proves nothing: half of all models share one. So the names have to agree too, and where they
do not, or more than one model is left, it is for a person to say.
"""

import re
from collections.abc import Iterable

from janfs.catalogue.catalogue import Catalogue, Tables, files_in, files_of
from janfs.catalogue.entries import File, Model
from janfs.catalogue.groups import Group, group, is_part, named
from janfs.catalogue.status import manifest_of
from janfs.folder import paths
from janfs.folder.gguf import GgufFacts

_WORD = re.compile(r"[a-z]+|\d+(?:\.\d+)?")
_NOISE = frozenset(
    {"mmproj", "model", "gguf", "ggml", "clip", "vision", "projector", "encoder", "lora", "adapter"}
    | {
        "instruct",
        "chat",
        "it",
        "the",
        "f",
        "bf",
        "fp",
        "q",
        "iq",
        "k",
        "m",
        "s",
        "l",
        "xl",
        "xs",
        "ud",
        "of",
    }
)
_QUANTIZATION = re.compile(r"(?i)(?<![a-z0-9])(i?q\d\w*|b?f\d+|fp\d+|tq\d\w*|mxfp\d\w*)(?![a-z0-9])")


def fits(part: Group, head: GgufFacts, file_name: str) -> bool:
    """Whether a part was made for the model with this header and file name."""
    facts = part.head.facts
    if facts is None:
        return False
    if part.kind == "adapter":
        if facts.architecture and head.architecture and facts.architecture != head.architecture:
            return False
        return _agree(_said(facts.base_model), _words(head, file_name))
    width = facts.projection_dim
    if width is not None and head.embedding_length is not None and width != head.embedding_length:
        return False
    return _agree(_words(facts, paths.name(part.head.path)), _words(head, file_name))


def claimants(tables: Catalogue, part: Group) -> list[Model]:
    """The present models that a part fits, by id."""
    return sorted(_fitting(tables, part), key=lambda model: model.id)


def _fitting(tables: Catalogue, part: Group) -> Iterable[Model]:
    for model in tables.models.values():
        head = head_of(tables, model)
        if model.removed is None and head is not None and fits(part, head, model.binary or ""):
            yield model


def naming(tables: Catalogue, file_name: str) -> list[Model]:
    """The present models whose model.json names this projector."""
    return [
        model
        for model in tables.models.values()
        if model.removed is None and named(manifest_of(files_in(tables, model.folder)), "mmproj") == file_name
    ]


def lacking(tables: Catalogue, file_name: str) -> list[Model]:
    """The present models whose model.json names this projector, and that have none of that name yet."""
    return [model for model in naming(tables, file_name) if _lacks(tables, model, file_name)]


def meant(tables: Catalogue, model: Model, file_name: str) -> list[File]:
    """The projectors of a name that a model can mean, by path: the one in its folder, or any; if they differ,
    those that fit it.
    """
    same = [
        file for path, file in tables.files.items() if paths.shown_name(path) == file_name and is_part(file)
    ]
    same.sort(key=lambda file: file.path)
    here = [file for file in same if paths.parent(file.path) == model.folder]
    if here or len({(file.facts, file.stamp.size) for file in same}) < 2:
        return here or same
    head = head_of(tables, model)
    parts = [each for file in same for each in group([file])]
    return [each.head for each in parts if head is not None and fits(each, head, model.binary or "")]


def named_elsewhere(tables: Catalogue, model: Model) -> list[File]:
    """The projectors that a model's model.json can mean, as long as the model has none of that name."""
    name = named(manifest_of(files_in(tables, model.folder)), "mmproj")
    return meant(tables, model, name) if name is not None and _lacks(tables, model, name) else []


def is_waiting(tables: Tables, place: str, files: Iterable[File]) -> bool:
    """Whether a change of other models may make one at a place: a part is by itself among these files, or a
    model lacks the projector that it names.
    """
    model = tables.models.get(tables.folders.get(place) or "")
    if model is not None and _lacks(tables, model, named(manifest_of(files_in(tables, place)), "mmproj")):
        return True
    return any(is_part(file) for file in files) and (model is None or model.binary is None)


def _lacks(tables: Tables, model: Model, file_name: str | None) -> bool:
    names = {paths.shown_name(file.path) for file in files_of(tables, model.uid)}
    return file_name is not None and file_name not in names


def head_of(tables: Tables, model: Model) -> GgufFacts | None:
    """What the header of a model's binary says."""
    file = tables.files.get(model.binary) if model.binary is not None else None
    return None if file is None else file.facts


def _words(facts: GgufFacts, path: str) -> frozenset[str]:
    """What the model is called, down to words and numbers; quantisation and packaging left out."""
    return (
        _said(facts.basename) | _said(facts.size_label)
        if facts.basename
        else (_said(facts.name) or _said(paths.name(path)))
    )


def _said(text: str | None) -> frozenset[str]:
    if text is None:
        return frozenset()
    return frozenset(_WORD.findall(_QUANTIZATION.sub(" ", text.lower()))) - _NOISE


def _agree(one: frozenset[str], other: frozenset[str]) -> bool:
    return bool(one and other) and (one <= other or other <= one)
