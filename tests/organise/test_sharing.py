"""Two files with the same content become one: only what was compared, and nobody's changes are lost."""

import errno
import os
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from janfs.catalogue.entries import Plan
from janfs.errors import FolderError
from janfs.folder import paths
from janfs.folder.filesystem import Stat
from janfs.organise import sharing
from tests.fakes.faults import Faults, HookedFileSystem, OnCall, P, T
from tests.organise.hands import Hands, Meanwhile, Writing, in_steps, stamp

ORIGINAL, COPY = "models/a/a.gguf", "models/b/b.gguf"
CONTENT, THEIRS = b"GGUF and so on", b"what somebody saved"
MADE, ASIDE = (f"models/b/{paths.TEMP_PREFIX}op1{end}" for end in (".tmp", "-b.gguf"))


class Two:
    """A file and its copy, as they were when they were compared."""

    def __init__(self, hands: Hands) -> None:
        self.hands = hands
        hands.put(ORIGINAL, CONTENT)
        hands.put(COPY, CONTENT)
        fs = hands.port
        self.copy = stamp(fs, COPY)
        self.plan = Plan("op1", "u1", 1, COPY, ORIGINAL, stamp(fs, ORIGINAL), "dedupe", how="hard-link")

    def share(self, on_call: OnCall | None = None) -> None:
        """Share, and see that both names are of one file."""
        fs = self.hands.port if on_call is None else HookedFileSystem(self.hands.port, on_call)
        shared = sharing.share(fs, self.plan, self.copy)
        assert shared == self.plan.stamp == stamp(self.hands.port, ORIGINAL) == stamp(self.hands.port, COPY)

    def files(self) -> dict[str, bytes | str | None]:
        return {path: content for path, content in self.hands.tree().items() if content is not None}

    def refused(self, words: str, on_call: OnCall | None = None) -> dict[str, bytes | str | None]:
        """See that it is refused; the files that are there then."""
        with pytest.raises(FolderError, match=words):
            self.share(on_call)
        return self.files()


@pytest.fixture
def two(hands: Hands) -> Two:
    return Two(hands)


def save(hands: Hands, path: str = COPY) -> Callable[[], None]:
    """Save as most programs do: a new file over the old one."""

    def act() -> None:
        hands.put("models/new", THEIRS)
        hands.rename_over("models/new", path)

    return act


def test_the_copy_becomes_a_second_name_and_nothing_is_left_beside_it(two: Two) -> None:
    two.share()
    assert two.files() == {ORIGINAL: CONTENT, COPY: CONTENT}
    two.share()
    assert two.files() == {ORIGINAL: CONTENT, COPY: CONTENT}, "a second time must change nothing"


@pytest.mark.parametrize("path", [ORIGINAL, COPY])
@pytest.mark.parametrize("how", ["changed", "other", "gone", "link"])
def test_what_is_not_what_was_compared_stays(two: Two, path: str, how: str) -> None:
    match how:
        case "changed":
            two.hands.put(path, THEIRS)
        case "other":
            save(two.hands, path)()
        case "gone":
            two.hands.port.unlink(path)
        case "link":
            two.hands.port.rename(path, "models/elsewhere.gguf")
            two.hands.symlink(path, "../elsewhere.gguf")
    before = two.files()
    assert two.refused(f"{path} changed after it was compared, or is gone") == before


def test_an_original_that_changes_at_the_last_moment_is_not_shared(two: Two) -> None:
    late = Meanwhile(lambda: two.hands.put(ORIGINAL, THEIRS), "link_file", ORIGINAL, MADE)
    assert two.refused(f"{ORIGINAL} changed", late) == {ORIGINAL: THEIRS, COPY: CONTENT}


def test_a_copy_that_changes_at_the_last_moment_stays(two: Two) -> None:
    late = Meanwhile(lambda: two.hands.put(COPY, THEIRS), "exchange", MADE, COPY)
    assert two.refused("at the last moment", late) == {ORIGINAL: CONTENT, COPY: THEIRS}


def test_what_changed_at_the_last_moment_comes_back_after_a_crash_too(two: Two) -> None:
    two.hands.port.rename(COPY, MADE)
    two.hands.hard_link(ORIGINAL, COPY)
    two.hands.put(MADE, THEIRS)
    assert two.refused("at the last moment") == {ORIGINAL: CONTENT, COPY: THEIRS}


@pytest.mark.parametrize("path", [ORIGINAL, COPY])
def test_a_file_that_someone_has_open_for_writing_is_not_shared(two: Two, path: str) -> None:
    writer = two.hands.open_to_write(path)
    assert two.refused(f"{path} is open for writing") == {ORIGINAL: CONTENT, COPY: CONTENT}
    writer.close()
    two.share()


def test_a_copy_that_someone_opens_for_writing_at_the_last_moment_keeps_what_they_write(two: Two) -> None:
    writers: list[Writing] = []
    late = Meanwhile(lambda: writers.append(two.hands.open_to_write(COPY)), "exchange", MADE, COPY)
    two.refused("at the last moment", late)
    writers[0].write(THEIRS)
    writers[0].close()
    assert two.files() == {ORIGINAL: CONTENT, COPY: THEIRS}


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_disk_without_second_names_is_told_in_words(two: Two, code: int) -> None:
    def no_links(name: str, perform: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        if name == "link_file":
            raise OSError(code, os.strerror(code))
        return perform(*args, **kwargs)

    before = two.files()
    assert two.refused(f"{COPY} stays a copy: its disk gives no file a second name", no_links) == before


@pytest.mark.parametrize("hidden", ["inode", "count"])
def test_nothing_is_done_where_second_names_cannot_be_told(two: Two, hidden: str) -> None:
    """As some network disks have it: a number of its own for each name."""

    class Hiding(HookedFileSystem):
        def stat(self, path: str) -> Stat | None:
            found = super().stat(path)
            if found is None or found.stamp is None:
                return found
            if hidden == "count":
                return replace(found, nlink=1)
            return replace(found, stamp=replace(found.stamp, inode=hash(path)))

    fs, before = Hiding(two.hands.port, Faults()), two.files()
    original = fs.stat(ORIGINAL)
    assert original is not None
    plan = replace(two.plan, stamp=original.stamp)
    with pytest.raises(FolderError, match="its disk hides its second names"):
        sharing.share(fs, plan, stamp(fs, COPY))
    assert two.files() == before


# On a disk that cannot exchange two files at once.


def test_what_someone_saves_while_nothing_has_the_name_stays() -> None:
    two = Two(in_steps())
    gap = Meanwhile(save(two.hands), "set_aside", COPY, ASIDE, after=True)
    assert two.refused("exists already", gap) == {ORIGINAL: CONTENT, COPY: THEIRS}


def test_what_someone_saves_right_before_it_is_set_aside_comes_back() -> None:
    two = Two(in_steps())
    late = Meanwhile(save(two.hands), "set_aside", COPY, ASIDE)
    assert two.refused("at the last moment", late) == {ORIGINAL: CONTENT, COPY: THEIRS}


def test_what_a_program_writes_into_the_file_that_was_set_aside_comes_back() -> None:
    two = Two(in_steps())
    program = Meanwhile(lambda: two.hands.put(ASIDE, THEIRS), "rename", MADE, COPY, after=True)
    assert two.refused("at the last moment", program) == {ORIGINAL: CONTENT, COPY: THEIRS}


def test_what_someone_saves_right_after_us_is_not_taken_for_ours() -> None:
    two = Two(in_steps())
    later = Meanwhile(save(two.hands), "rename", MADE, COPY, after=True)
    told = sharing.share(HookedFileSystem(two.hands.port, later), two.plan, two.copy)
    assert told != stamp(two.hands.port, COPY), "the next look would not see that it was saved"
    assert two.files() == {ORIGINAL: CONTENT, COPY: THEIRS}


@pytest.mark.parametrize(
    "names",
    [
        {MADE: ORIGINAL, ASIDE: ORIGINAL},
        {ASIDE: ORIGINAL},
        {MADE: ORIGINAL},
        {MADE: ORIGINAL, ASIDE: COPY},
        {MADE: ORIGINAL, ASIDE: COPY, COPY: None},
        {MADE: ORIGINAL, ASIDE: COPY, COPY: ORIGINAL},
        {ASIDE: COPY, COPY: ORIGINAL},
        {ASIDE: COPY, MADE: COPY, COPY: ORIGINAL},
        {MADE: COPY, COPY: ORIGINAL},
    ],
)
def test_it_is_finished_from_wherever_it_stopped_between_link_and_unlink(
    two: Two, names: dict[str, str | None]
) -> None:
    for name, of in names.items():
        if name == COPY:
            two.hands.port.unlink(COPY)
        if of is not None:
            two.hands.hard_link(of, name)
    two.share()
    assert two.files() == {ORIGINAL: CONTENT, COPY: CONTENT}
