"""Writes over what is there: no edit of somebody else's is lost, on any disk."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from janfs.errors import FolderError
from janfs.folder import paths, real
from janfs.manifest.jsonc import MAX_SIZE
from janfs.organise import replacing
from tests.fakes.faults import Faults, HookedFileSystem
from tests.organise.hands import Fake, Hands, Meanwhile, Real, WithoutFlags, Writing, in_steps, stamp
from tests.organise.plans import CONTENT, JSON, MANIFEST, WRITE

MADE, ASIDE = (f"models/x/{paths.TEMP_PREFIX}op1{end}" for end in (".tmp", "-model.json"))


def test_a_text_takes_the_place_of_another_and_nothing_is_left_beside_it(hands: Hands) -> None:
    hands.put(MANIFEST, CONTENT)
    assert replacing.replace(hands.port, WRITE, JSON, CONTENT) == stamp(hands.port, MANIFEST)
    assert hands.tree() == {"models": None, "models/x": None, MANIFEST: JSON}


@pytest.mark.parametrize("theirs", [b"{}", CONTENT.swapcase(), b""])
def test_a_text_that_someone_else_changed_is_not_replaced(hands: Hands, theirs: bytes) -> None:
    hands.put(MANIFEST, theirs)
    with pytest.raises(FolderError, match="what they write stays"):
        replacing.replace(hands.port, WRITE, JSON, CONTENT)
    assert hands.tree() == {"models": None, "models/x": None, MANIFEST: theirs}


def test_a_file_that_is_too_large_to_be_read_is_not_replaced_and_said_to_be_so(hands: Hands) -> None:
    hands.put(MANIFEST, bytes(MAX_SIZE + 1))
    with pytest.raises(FolderError, match="has 1,048,577 bytes; 1,048,576 are allowed"):
        replacing.replace(hands.port, WRITE, JSON, b"")
    assert hands.tree() == {"models": None, "models/x": None, MANIFEST: bytes(MAX_SIZE + 1)}


@pytest.mark.parametrize("theirs", [CONTENT + b"!", CONTENT.swapcase()])
def test_a_text_that_changes_at_the_last_moment_comes_back(hands: Hands, theirs: bytes) -> None:
    hands.put(MANIFEST, CONTENT)

    class LastMoment(Faults):
        def __call__(self, name, perform, /, *args, **kwargs):  # type: ignore[no-untyped-def]
            if name == "exchange" and hands.tree()[MANIFEST] == CONTENT:
                hands.put(MANIFEST, theirs)
            return super().__call__(name, perform, *args, **kwargs)

    with pytest.raises(FolderError, match="at the last moment"):
        replacing.replace(HookedFileSystem(hands.port, LastMoment()), WRITE, JSON, CONTENT)
    assert hands.tree() == {"models": None, "models/x": None, MANIFEST: theirs}


def test_a_link_to_nothing_that_takes_its_place_at_the_last_moment_comes_back(hands: Hands) -> None:
    hands.put(MANIFEST, JSON)
    hands.symlink(MADE, "nothing")
    with pytest.raises(FolderError, match="at the last moment"):
        replacing.replace(hands.port, WRITE, JSON, CONTENT)
    assert hands.tree() == {"models": None, "models/x": None, MANIFEST: "nothing"}


def test_what_changed_at_the_last_moment_comes_back_after_a_crash_too(hands: Hands) -> None:
    hands.put(MANIFEST, JSON)
    hands.put("models/x/" + f"{paths.TEMP_PREFIX}op1.tmp", b"theirs")
    with pytest.raises(FolderError, match="at the last moment"):
        replacing.replace(hands.port, WRITE, JSON, CONTENT)
    assert hands.tree() == {"models": None, "models/x": None, MANIFEST: b"theirs"}


class Editor:
    """Opens a file as it is, and writes into what it has open later on, wherever that has gone."""

    def __init__(self, hands: Hands, path: str = MANIFEST) -> None:
        self._hands, self._path = hands, path
        self._file: Writing | None = None

    def open(self) -> None:
        self._file = self._hands.open_to_write(self._path)

    def save(self, text: bytes) -> None:
        assert self._file is not None, "it never came to open the file"
        self._file.write(text)
        self._file.close()


THEIRS = CONTENT.swapcase()


def test_an_editor_that_opens_the_file_right_before_it_is_replaced_saves_into_it(hands: Hands) -> None:
    hands.put(MANIFEST, CONTENT)
    editor = Editor(hands)
    exchange = Meanwhile(editor.open, "exchange", MADE, MANIFEST)
    with pytest.raises(FolderError, match="at the last moment"):
        replacing.replace(HookedFileSystem(hands.port, exchange), WRITE, JSON, CONTENT)
    editor.save(THEIRS)
    assert hands.tree() == {"models": None, "models/x": None, MANIFEST: THEIRS}


def test_an_editor_that_opens_the_file_while_the_new_one_is_made_saves_into_it(hands: Hands) -> None:
    hands.put(MANIFEST, CONTENT)
    editor = Editor(hands)
    made = Meanwhile(editor.open, "create", MADE, JSON, MANIFEST, after=True)
    with pytest.raises(FolderError, match="what they write stays"):
        replacing.replace(HookedFileSystem(hands.port, made), WRITE, JSON, CONTENT)
    editor.save(THEIRS)
    assert hands.tree() == {"models": None, "models/x": None, MANIFEST: THEIRS}


def test_an_editor_that_has_the_old_file_open_after_a_crash_saves_into_it(hands: Hands) -> None:
    hands.put(MANIFEST, JSON)
    hands.put(MADE, CONTENT)
    editor = Editor(hands, MADE)
    editor.open()
    with pytest.raises(FolderError, match="at the last moment"):
        replacing.replace(hands.port, WRITE, JSON, CONTENT)
    editor.save(THEIRS)
    assert hands.tree() == {"models": None, "models/x": None, MANIFEST: THEIRS}


def test_an_editor_saves_into_the_old_file_though_the_disk_fails_before_that_is_put_back() -> None:
    hands = Fake()
    hands.put(MANIFEST, CONTENT)
    editor = Editor(hands)

    class Failing(Meanwhile):
        def __call__(self, name, perform, /, *args, **kwargs):  # type: ignore[no-untyped-def]
            if name == "being_written" and args == (MADE,) and (name, args) not in self.calls:
                self.calls.append((name, args))
                raise OSError(errno.EIO, "Input/output error")
            return super().__call__(name, perform, *args, **kwargs)

    failing = HookedFileSystem(hands.port, Failing(editor.open, "exchange", MADE, MANIFEST))
    for words in ("Input/output error", "at the last moment"):
        with pytest.raises(FolderError, match=words):
            replacing.replace(failing, WRITE, JSON, CONTENT)
    editor.save(THEIRS)
    assert hands.tree() == {"models": None, "models/x": None, MANIFEST: THEIRS}


def test_where_writers_cannot_be_known_the_text_is_all_there_is_to_go_by() -> None:
    hands = Fake()
    hands.knows_writers = False
    hands.put(MANIFEST, CONTENT)
    editor = Editor(hands)
    exchange = Meanwhile(editor.open, "exchange", MADE, MANIFEST)
    replacing.replace(HookedFileSystem(hands, exchange), WRITE, JSON, CONTENT)
    assert hands.tree() == {"models": None, "models/x": None, MANIFEST: JSON}


# Writes over what is there, on a disk that cannot exchange two files at once.


def save(hands: Hands, text: bytes) -> Callable[[], None]:
    """Save as most editors do: a new file over the old one."""

    def act() -> None:
        hands.put("models/x/new", text)
        hands.rename_over("models/x/new", MANIFEST)

    return act


def test_what_someone_saves_while_nothing_has_the_name_stays() -> None:
    hands = in_steps()
    hands.put(MANIFEST, CONTENT)
    gap = Meanwhile(save(hands, b"theirs"), "set_aside", MANIFEST, ASIDE, after=True)
    with pytest.raises(FolderError, match="exists already"):
        replacing.replace(HookedFileSystem(hands.port, gap), WRITE, JSON, CONTENT)
    assert hands.tree() == {"models": None, "models/x": None, MANIFEST: b"theirs"}


def test_what_someone_saves_right_before_it_is_set_aside_comes_back() -> None:
    hands = in_steps()
    hands.put(MANIFEST, CONTENT)
    late = Meanwhile(save(hands, b"theirs"), "set_aside", MANIFEST, ASIDE)
    with pytest.raises(FolderError, match="at the last moment"):
        replacing.replace(HookedFileSystem(hands.port, late), WRITE, JSON, CONTENT)
    assert hands.tree() == {"models": None, "models/x": None, MANIFEST: b"theirs"}


def test_an_editor_that_opens_the_file_right_before_it_is_set_aside_saves_into_it() -> None:
    hands = in_steps()
    hands.put(MANIFEST, CONTENT)
    editor = Editor(hands)
    late = Meanwhile(editor.open, "set_aside", MANIFEST, ASIDE)
    with pytest.raises(FolderError, match="at the last moment"):
        replacing.replace(HookedFileSystem(hands.port, late), WRITE, JSON, CONTENT)
    editor.save(THEIRS)
    assert hands.tree() == {"models": None, "models/x": None, MANIFEST: THEIRS}


def test_an_editor_that_opens_the_file_that_was_set_aside_saves_into_it() -> None:
    hands = in_steps()
    hands.put(MANIFEST, CONTENT)
    editor = Editor(hands, ASIDE)
    late = Meanwhile(editor.open, "rename", MADE, MANIFEST)
    with pytest.raises(FolderError, match="at the last moment"):
        replacing.replace(HookedFileSystem(hands.port, late), WRITE, JSON, CONTENT)
    editor.save(THEIRS)
    assert hands.tree() == {"models": None, "models/x": None, MANIFEST: THEIRS}


def test_what_an_editor_writes_into_the_file_that_was_set_aside_comes_back() -> None:
    hands = in_steps()
    hands.put(MANIFEST, CONTENT)
    editor = Meanwhile(lambda: hands.put(ASIDE, b"theirs"), "rename", MADE, MANIFEST, after=True)
    with pytest.raises(FolderError, match="at the last moment"):
        replacing.replace(HookedFileSystem(hands.port, editor), WRITE, JSON, CONTENT)
    assert hands.tree() == {"models": None, "models/x": None, MANIFEST: b"theirs"}


def test_of_two_who_write_at_the_last_moment_the_later_one_stays() -> None:
    hands = in_steps()
    hands.put(MANIFEST, JSON)
    hands.put(MADE, b"what one wrote into the old file")
    later = Meanwhile(save(hands, b"what another saved"), "set_aside", MANIFEST, ASIDE)
    with pytest.raises(FolderError, match="at the last moment"):
        replacing.replace(HookedFileSystem(hands.port, later), WRITE, JSON, CONTENT)
    assert hands.tree()[MANIFEST] == b"what another saved"


@pytest.mark.parametrize(
    ("found", "linked"),
    [
        ({ASIDE: JSON, MANIFEST: CONTENT}, None),
        ({MADE: JSON, MANIFEST: CONTENT}, (MADE, ASIDE)),
        ({MADE: JSON, ASIDE: CONTENT}, None),
        ({MADE: JSON, ASIDE: CONTENT}, (ASIDE, MANIFEST)),
        ({MADE: JSON, ASIDE: CONTENT}, (MADE, MANIFEST)),
        ({MANIFEST: JSON, ASIDE: CONTENT}, None),
        ({MANIFEST: JSON, ASIDE: CONTENT}, (ASIDE, MADE)),
        ({MANIFEST: JSON, MADE: CONTENT}, None),
    ],
)
def test_it_is_finished_from_wherever_it_stopped_between_link_and_unlink(
    hands: Hands, found: dict[str, bytes], linked: tuple[str, str] | None
) -> None:
    for path, text in found.items():
        hands.put(path, text)
    if linked is not None:
        hands.hard_link(*linked)
    replacing.replace(hands.port, WRITE, JSON, CONTENT)
    assert hands.tree() == {"models": None, "models/x": None, MANIFEST: JSON}


def test_where_nothing_can_be_put_back_nothing_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(real, "_libc", WithoutFlags())
    monkeypatch.setattr(os, "link", refuse)
    hands = Real(tmp_path)
    hands.put(MANIFEST, CONTENT)
    with pytest.raises(FolderError, match="neither rename without overwriting nor give a file a second"):
        replacing.replace(hands.port, WRITE, JSON, CONTENT)
    assert hands.tree() == {"models": None, "models/x": None, MANIFEST: CONTENT}


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("link", "a link"),
        ("link to a folder", "a link"),
        ("second name", "has another name too"),
        ("gone", "is gone"),
        ("folder", "is a folder"),
    ],
)
def test_what_is_no_plain_file_is_not_replaced(hands: Hands, how: str, words: str) -> None:
    hands.put("models/x/other", CONTENT)
    match how:
        case "link":
            hands.symlink(MANIFEST, "other")
        case "link to a folder":
            hands.symlink(MANIFEST, "../x")
        case "second name":
            hands.hard_link("models/x/other", MANIFEST)
        case "folder":
            hands.mkdir(MANIFEST)
    before = hands.tree()
    with pytest.raises(FolderError, match=words):
        replacing.replace(hands.port, WRITE, JSON, CONTENT)
    assert hands.tree() == before
