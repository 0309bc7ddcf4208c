"""What is to be fetched, and under which names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.downloads.hub import HubFile, Repository, choose, files_of, parse
from janfs.downloads.sources import Wanted, wanted, wanted_of, whole_set
from janfs.errors import InvalidInput
from janfs.folder import paths
from janfs.manifest.schema import Manifest, SourceRef

HUB = "https://hub.example"
QUANTISED = [HubFile(f"m-{q}.gguf", 10, "ab" * 32) for q in ("Q2_K", "Q4_K_M", "Q4_K_S", "Q8_0")]


def names(found: list[Wanted]) -> list[str]:
    return [each.file_name for each in found]


def pick(files: list[HubFile], choice: str | None = None) -> list[str]:
    return names(choose(HUB, Repository("org/repo", choice), files))


def test_the_addresses_among_the_sources_are_fetched() -> None:
    sources = (
        SourceRef("a.gguf", "https://example.org/x?download=true"),
        SourceRef(None, "http://example.org/dir/b%20c.gguf#top"),
        SourceRef("local.gguf", "local.gguf"),
        SourceRef("d.gguf", None),
    )
    found = wanted_of(Manifest(sources=sources))
    assert names(list(found)) == ["a.gguf", "b c.gguf"]


def test_a_digest_in_the_metadata_is_that_of_the_only_file() -> None:
    source = SourceRef("a.gguf", "https://example.org/a.gguf")
    other = SourceRef("b.gguf", "https://example.org/b.gguf")
    metadata = {"sha256": "AB" * 32}
    assert wanted_of(Manifest(sources=(source,), metadata=metadata))[0].sha256 == "ab" * 32
    assert wanted_of(Manifest(sources=(source, other), metadata=metadata))[0].sha256 is None
    assert wanted_of(Manifest(sources=(source,), metadata={"sha256": "abc"}))[0].sha256 is None


def test_two_files_of_one_name_are_refused() -> None:
    source = SourceRef("a.gguf", "https://example.org/a.gguf")
    with pytest.raises(InvalidInput, match="twice"):
        wanted_of(Manifest(sources=(source, source)))


BAD_NAMES = ["..", ".", "../a.gguf", "a/b.gguf", "a\\b.gguf", ".hidden.gguf", "model.json", "a\0.gguf"]
BAD_NAMES += ["a.gguf.part", " a.gguf", "x" * 201, "a\n.gguf", "MODEL.JSON", "a~"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_would_lead_elsewhere_or_hide_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        wanted("https://example.org/x.gguf", name)


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no address"):
        wanted("http://[bad/x.gguf")


@given(st.text(max_size=20))
def test_whatever_a_name_is_it_stays_in_its_folder(name: str) -> None:
    try:
        found = wanted("https://example.org/" + name).file_name
    except InvalidInput:
        return
    assert "/" not in found
    assert found not in ("", ".", "..")
    assert not paths.is_ignored(found)


@pytest.mark.parametrize("hub", ["https://huggingface.co", "https://hf.co"])
def test_a_page_of_the_hub_means_the_file_on_it(hub: str) -> None:
    found = parse(f"{hub}/org/repo/blob/main/sub/m.gguf")
    assert isinstance(found, Wanted)
    assert found.url == f"{hub}/org/repo/resolve/main/sub/m.gguf"


SPELLINGS = ["hf.co/org/repo", "huggingface.co/org/repo", "https://hf.co/org/repo", "hf://org/repo"]
SPELLINGS += ["https://huggingface.co/org/repo/", "https://huggingface.co/org/repo/tree/main"]


@pytest.mark.parametrize("text", SPELLINGS)
def test_a_repository_may_be_spelled_as_other_tools_and_browsers_do(text: str) -> None:
    assert parse(text) == Repository("org/repo")
    assert parse(f"{text}:Q4_K_M") == Repository("org/repo", "Q4_K_M")


@pytest.mark.parametrize(
    "text", ["", "hf:", "hf:org", "hf:org/repo:", "ftp://x/y.gguf", "org/repo", "hf:a/b/c"]
)
def test_what_is_neither_an_address_nor_a_repository_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse(text)


def test_a_quantisation_or_a_file_can_be_named() -> None:
    assert parse("hf:org/repo:Q8_0") == Repository("org/repo", "Q8_0")
    assert pick(QUANTISED, "q8_0") == ["m-Q8_0.gguf"]
    assert pick(QUANTISED, "m-Q2_K.gguf") == ["m-Q2_K.gguf"]
    assert pick(QUANTISED) == ["m-Q4_K_M.gguf"]


@pytest.mark.parametrize("choice", ["Q4_K", "q5_0", "nothing.gguf"])
def test_where_it_is_not_clear_the_choices_are_told(choice: str) -> None:
    with pytest.raises(InvalidInput, match=r"m-Q2_K\.gguf, m-Q4_K_M\.gguf"):
        pick(QUANTISED, choice)
    with pytest.raises(InvalidInput, match="no GGUF"):
        pick([HubFile("README.md", 1)])


def test_files_of_one_name_in_several_folders_are_several_models() -> None:
    files = [HubFile(f"{q}/m-0000{n}-of-00002.gguf", 10) for q in ("Q8_0", "BF16") for n in (1, 2)]
    assert pick(files, "BF16") == ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"]
    with pytest.raises(InvalidInput, match="BF16/m, Q8_0/m"):
        pick(files, "m-00001-of-00002.gguf")


@pytest.mark.parametrize("number", [1, 3])
def test_the_address_of_a_shard_means_its_whole_set(number: int) -> None:
    url = "https://example.org/00001-of-00003/a%20b-0000{}-of-00003.gguf?download=true"
    found = whole_set(wanted(url.format(number)))
    assert [each.url for each in found] == [url.format(each) for each in (1, 2, 3)]
    assert names(list(found)) == [f"a b-0000{each}-of-00003.gguf" for each in (1, 2, 3)]


@pytest.mark.parametrize("url", ["https://example.org/m.gguf", "https://example.org/get?id=1"])
def test_any_other_file_is_fetched_alone(url: str) -> None:
    one = wanted(url, "m-00001-of-00002.gguf" if "?" in url else None)
    assert whole_set(one) == (one,)


def test_all_shards_come_and_the_projector_after_them() -> None:
    files = [HubFile(f"big/m-Q4_0-0000{n}-of-00003.gguf", 10) for n in (3, 1, 2)]
    files += [HubFile("mmproj-m-f16.gguf", 5), HubFile("mmproj-m-q8_0.gguf", 5)]
    assert pick(files) == [*(f"m-Q4_0-0000{n}-of-00003.gguf" for n in (3, 1, 2)), "mmproj-m-f16.gguf"]
    found = choose(HUB, Repository("org/repo"), files)
    assert found[0].url == f"{HUB}/org/repo/resolve/main/big/m-Q4_0-00003-of-00003.gguf"


@given(
    st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))
)
def test_a_listing_that_makes_no_sense_is_an_empty_one(listing: object) -> None:
    assert files_of(listing) == []


def test_sizes_and_digests_that_are_none_are_not_known() -> None:
    for size in ("big", True, -5):
        listing = [{"type": "file", "path": "a.gguf", "size": size, "lfs": {"oid": 5}}]
        assert files_of(listing) == [HubFile("a.gguf", 0, None)]


def test_a_listing_gives_names_sizes_and_digests() -> None:
    listing = [
        {"type": "file", "path": "a.gguf", "size": 7, "lfs": {"oid": "cd" * 32, "size": 7}},
        {"type": "directory", "path": "sub"},
        {"type": "file", "path": "README.md", "size": 3},
    ]
    assert files_of(listing) == [HubFile("a.gguf", 7, "cd" * 32), HubFile("README.md", 3)]
