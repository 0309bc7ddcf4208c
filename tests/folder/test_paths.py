"""Every name on disk has one spelling, and every spelling leads back to its name."""

import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from janfs.folder import paths


@pytest.mark.parametrize(
    ("link", "target"),
    [("../b/y", "models/b/y"), ("y", "models/a/y"), ("../../../up", "../up"), ("/far/./off", "/far/off")],
)
def test_a_links_text_says_where_it_leads(link: str, target: str) -> None:
    assert paths.behind("models/a/x", link) == target


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("a/x-00001-of-00003.gguf", "b/x-00003-of-00003.gguf", True),
        ("x-00001-of-00003.gguf", "x-00001-of-00002.gguf", False),
        ("x-00001-of-00003.gguf", "y-00002-of-00003.gguf", False),
        ("x-00001-of-00003.gguf", "x.gguf", False),
    ],
)
def test_shards_of_one_set_share_their_stem_and_their_number(one: str, other: str, same: bool) -> None:
    assert paths.is_same_set(one, other) is same
    assert paths.is_same_set(other, one) is same


raw_names = st.binary(min_size=1, max_size=40).filter(lambda raw: b"/" not in raw and b"\0" not in raw)
spelled_names = raw_names.map(paths.encode_name)
spelled_paths = st.lists(spelled_names, min_size=1, max_size=4).map("/".join)


@given(raw_names)
@example(b"%41")
@example(b"%")
@example(b"\xe9%E9")
@example(b"\xff\xc3\xa9")
def test_a_spelling_leads_back_to_its_name(raw: bytes) -> None:
    assert paths.decode_path(paths.encode_name(raw)) == raw


@given(raw_names, raw_names)
@example(b"%FF", b"\xff")
@example(b"%25", b"%")
def test_two_names_never_share_a_spelling(one: bytes, other: bytes) -> None:
    assert (paths.encode_name(one) == paths.encode_name(other)) == (one == other)


@given(raw_names)
def test_a_spelling_is_valid_unicode_without_a_slash(raw: bytes) -> None:
    spelled = paths.encode_name(raw)
    assert spelled.encode("utf-8").decode("utf-8") == spelled
    assert "/" not in spelled


@given(st.lists(raw_names, min_size=1, max_size=4))
def test_a_path_decodes_name_by_name(raws: list[bytes]) -> None:
    assert paths.decode_path(paths.join(*map(paths.encode_name, raws))) == b"/".join(raws)


@given(st.lists(raw_names, min_size=1, max_size=4))
def test_a_path_as_a_person_writes_it_is_that_of_its_names(raws: list[bytes]) -> None:
    written = os.fsdecode(b"/".join(raws))
    assert paths.encode_path(written) == paths.join(*map(paths.encode_name, raws))


@pytest.mark.parametrize(
    ("raw", "spelled"),
    [
        (b"zephyr.gguf", "zephyr.gguf"),
        ("模型.gguf".encode(), "模型.gguf"),
        (b"caf\xe9.gguf", "caf%E9.gguf"),
        (b"100%.gguf", "100%25.gguf"),
        (b"%E9", "%25E9"),
    ],
)
def test_spellings_are_these(raw: bytes, spelled: str) -> None:
    assert paths.encode_name(raw) == spelled


@given(spelled_paths, spelled_names)
def test_parent_and_name_take_a_path_apart(folder: str, last: str) -> None:
    path = paths.join(folder, last)
    assert (paths.parent(path), paths.name(path)) == (folder, last)


def test_the_parent_of_a_single_name_is_the_root() -> None:
    assert (paths.parent("models"), paths.name("models")) == ("", "models")


@given(spelled_paths, spelled_names)
def test_what_is_below_a_folder_is_inside_it(folder: str, last: str) -> None:
    assert paths.is_inside(folder, folder)
    assert paths.is_inside(paths.join(folder, last), folder)
    assert not paths.is_inside(folder, paths.join(folder, last))
    assert not paths.is_inside(folder + "-2", folder), "a longer name beside it is not inside"


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("models/a.gguf", "models/a.gguf"),
        ("models/x/a.gguf", "models/x"),
        ("models/publisher/x/a.gguf", "models/publisher/x"),
    ],
)
def test_a_loose_file_is_its_own_place_any_other_belongs_to_its_folder(path: str, place: str) -> None:
    assert paths.place(path) == place


@pytest.mark.parametrize(
    "name",
    [
        "a.gguf.part",
        "a.gguf.PART",
        "a.gguf.crdownload",
        "a.gguf.downloadInProgress",
        "a.gguf.incomplete",
        "a.gguf.!qB",
        "a.gguf.aria2",
        ".model.json.swp",
        "model.json~",
        "#model.json#",
        "4913",
        ".a.gguf.Xyz123",
        ".syncthing.a.gguf.tmp",
        ".janfs-1.part",
        ".cache",
    ],
)
def test_names_of_unfinished_and_private_files_are_ignored(name: str) -> None:
    assert paths.is_ignored(name)


@pytest.mark.parametrize(
    "name", ["a.gguf", "model.json", "part", "a.part.gguf", "tmp", "a~b.gguf", "49130", "a#"]
)
def test_names_of_models_are_not_ignored(name: str) -> None:
    assert not paths.is_ignored(name)


@pytest.mark.parametrize(
    ("path", "is_manifest"),
    [
        ("models/x/model.json", True),
        ("models/p/x/model.json", True),
        ("models/model.json", False),
        ("model.json", False),
        ("models/x/Model.json", False),
        ("models/x/model.json.bak", False),
    ],
)
def test_a_manifest_lies_in_a_model_folder(path: str, is_manifest: bool) -> None:
    assert paths.is_manifest(path) is is_manifest


def test_a_binary_is_known_by_its_name_in_any_case() -> None:
    assert paths.is_binary("models/A.GGUF")
    assert not paths.is_binary("models/a.gguf.part")
    assert not paths.is_binary("models/gguf")
