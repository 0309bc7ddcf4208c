"""Fetching a file from a real server that does its worst."""

import asyncio
import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from janfs.downloads import fetch as fetching
from janfs.downloads import part as parts
from janfs.downloads.answers import Remote
from janfs.downloads.fetch import Fetched, fetch
from janfs.downloads.guard import Policy
from janfs.downloads.part import Part, parts_in, sweep
from janfs.downloads.sources import wanted
from janfs.downloads.web import Web
from janfs.errors import DownloadError, DownloadRefused
from tests.support.ggufs import tiny_gguf
from tests.support.patience import PATIENCE
from tests.support.web import sha256, web

FOLDER = "models/m"
WHOLE = tiny_gguf("Whole")
CUT = WHOLE[:-16]
CONTENT = tiny_gguf("Fetched") + os.urandom(700_000)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PIECE", 100_000)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / FOLDER).mkdir(parents=True)
    return tmp_path


def get(root: Path, url: str, sha: str | None = None, size: int | None = None, **web_options: str) -> Fetched:
    """Fetch, with short pauses."""

    async def run() -> Fetched:
        net = Web(Policy(private=True), **web_options)
        try:
            file = wanted(url, "m.gguf", sha, size)
            part = Part(root / FOLDER, file.url, file.file_name)
            return await fetch(net, file, root, FOLDER, part, wait=0.001)
        finally:
            await net.aclose()

    return asyncio.run(run())


def there(root: Path) -> list[str]:
    return sorted(path.name for path in (root / FOLDER).iterdir())


def test_a_file_comes_in_pieces_and_is_whole(root: Path) -> None:
    with web() as site:
        fetched = get(root, site.put("m.gguf", CONTENT))
        ranges = {headers.get("range") for _, headers in site.asked}
    assert (root / FOLDER / "m.gguf").read_bytes() == CONTENT
    assert (fetched.sha256, fetched.path) == (sha256(CONTENT), f"{FOLDER}/m.gguf")
    assert len(ranges) == 9, "eight pieces and a first look"
    assert there(root) == ["m.gguf"], "something is left of the download"


@pytest.mark.parametrize(
    "how", [{"ranges": False}, {"ranges": False, "length": False}, {"etag": None}, {"etag": 'W/"weak"'}]
)
def test_a_server_that_cannot_do_much_will_do(root: Path, how: dict[str, object]) -> None:
    with web() as site:
        get(root, site.put("m.gguf", CONTENT, **how))
    assert (root / FOLDER / "m.gguf").read_bytes() == CONTENT


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_a_file_that_nothing_tells_from_another_comes_in_one_piece(root: Path, etag: str | None) -> None:
    with web() as site:
        get(root, site.put("m.gguf", CONTENT, etag=etag))
        assert [headers.get("range") for _, headers in site.asked] == ["bytes=0-0", None]


def test_what_was_cut_is_gone_on_with(root: Path) -> None:
    with web() as site:
        get(root, site.put("m.gguf", CONTENT, cuts=7))
        given = len(site.asked)
    assert (root / FOLDER / "m.gguf").read_bytes() == CONTENT
    assert given > 9, "nothing was cut"


def test_a_server_that_gives_another_part_than_was_asked_for_is_given_up(root: Path) -> None:
    with web() as site, pytest.raises(DownloadError, match="another part"):
        get(root, site.put("m.gguf", CONTENT, stuck=True))
    assert "m.gguf" not in there(root)


def test_without_ranges_a_cut_means_to_begin_anew(root: Path) -> None:
    with web() as site:
        get(root, site.put("m.gguf", CONTENT, cuts=2, ranges=False))
    assert (root / FOLDER / "m.gguf").read_bytes() == CONTENT


def test_a_server_that_is_busy_is_asked_again(root: Path) -> None:
    with web() as site:
        get(root, site.put("m.gguf", CONTENT, status=[503, 429, 500], headers={"Retry-After": "0"}))
    assert (root / FOLDER / "m.gguf").read_bytes() == CONTENT


ASKED = [("0", 0, 1), ("300", 300, 300), ("99999", 900, 900), ("-5", 0, 1), ("soon", 0, 1)]
ASKED += [("in 300", 200, 300), ("in -300", 0, 1)]


@pytest.mark.parametrize(("asked", "least", "most"), ASKED)
def test_a_server_is_asked_again_when_it_says_so(
    root: Path, monkeypatch: pytest.MonkeyPatch, asked: str, least: float, most: float
) -> None:
    if asked.startswith("in"):
        asked = formatdate(time.time() + int(asked.removeprefix("in")), usegmt=True)
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("janfs.downloads.fetch.asyncio.sleep", sleep)
    with web() as site:
        get(root, site.put("m.gguf", CONTENT, status=[429], headers={"Retry-After": asked}))
    assert least <= pauses[0] <= most


def test_a_server_that_stays_busy_is_given_up_and_what_came_is_kept(root: Path) -> None:
    with web() as site:
        url = site.put("m.gguf", CONTENT, status=[503] * 50)
        with pytest.raises(DownloadError, match="status 503"):
            get(root, url)
        assert len(site.asked) == fetching.TRIES + 1


@pytest.mark.parametrize(("status", "word"), [(404, "not there"), (401, "HF_TOKEN"), (403, "HF_TOKEN")])
def test_a_no_is_taken_for_one(root: Path, status: int, word: str) -> None:
    with web() as site:
        url = site.put("m.gguf", CONTENT, status=[status])
        with pytest.raises(DownloadError, match=word):
            get(root, url)
        assert len(site.asked) == 1
    assert "m.gguf" not in there(root)


def test_a_file_that_changes_on_the_server_comes_anew(root: Path) -> None:
    other = tiny_gguf("Other") + os.urandom(700_000)
    with web() as site:
        url = site.put("m.gguf", CONTENT, cuts=1000)
        with pytest.raises(DownloadError):
            get(root, url, sha=sha256(other), size=1)  # what came of the first is wrong in any case
        site.put("m.gguf", other, etag='"two"')
        get(root, url, sha256(other), len(other))
    assert (root / FOLDER / "m.gguf").read_bytes() == other


@pytest.mark.parametrize("told", ["in model.json", "by the hub"])
def test_another_digest_than_was_said_is_thrown_away(root: Path, told: str) -> None:
    headers = {"X-Linked-Etag": f'"{"0" * 64}"'} if told == "by the hub" else {}
    with web() as site:
        url = site.put("m.gguf", CONTENT, headers=headers)
        with pytest.raises(DownloadError, match="SHA-256"):
            get(root, url, None if headers else "0" * 64)
    assert there(root) == []


def test_another_size_than_was_said_is_thrown_away(root: Path) -> None:
    with web() as site, pytest.raises(DownloadError, match="bytes long"):
        get(root, site.put("m.gguf", CONTENT), size=5)
    assert there(root) == []


def test_an_error_page_is_no_model(root: Path) -> None:
    with web() as site, pytest.raises(DownloadError, match=r"no GGUF file.*DOCTYPE"):
        get(root, site.put("m.gguf", b"<!DOCTYPE html><p>Please log in." * 9))
    assert there(root) == []


def test_a_model_without_its_end_is_none(root: Path) -> None:
    with web() as site, pytest.raises(DownloadError, match="by its header should be"):
        get(root, site.put("m.gguf", CUT))
    assert there(root) == []


def test_a_cut_that_no_length_tells_of_is_seen_by_the_header(root: Path) -> None:
    with web() as site:
        get(root, site.put("m.gguf", WHOLE, ranges=False, length=False, cuts=3))
        assert (root / FOLDER / "m.gguf").read_bytes() == WHOLE
        (root / FOLDER / "m.gguf").unlink()
        with pytest.raises(DownloadError, match="closed before the end"):
            get(root, site.put("m.gguf", CUT, ranges=False, length=False))


def test_a_redirect_is_followed_and_the_token_stays_with_the_hub(root: Path) -> None:
    with web() as hub, web() as cdn:
        target = cdn.put("blob", CONTENT)
        url = hub.put("m.gguf", b"", redirect=target, headers={"X-Linked-Etag": f'"{sha256(CONTENT)}"'})
        fetched = get(root, url, hub=hub.url, token="geheim")
        assert fetched.expected == sha256(CONTENT)
        assert all(headers.get("authorization") == "Bearer geheim" for _, headers in hub.asked)
        assert not any("authorization" in headers for _, headers in cdn.asked), "the token was given away"


def test_a_redirect_into_the_private_network_is_refused(root: Path) -> None:
    async def run() -> None:
        net = Web(Policy(hosts=("127.0.0.1",), private=True))
        try:
            async with net.get(url, {}):
                pass
        finally:
            await net.aclose()

    with web() as site:
        url = site.put("m.gguf", b"", redirect="http://169.254.169.254/latest/meta-data")
        with pytest.raises(DownloadRefused):
            asyncio.run(run())


def test_redirects_without_end_are_given_up(root: Path) -> None:
    with web() as site:
        url = site.put("m.gguf", b"", redirect="/m.gguf")
        with pytest.raises(DownloadError, match="without end"):
            get(root, url)


def test_where_a_redirect_leads_is_not_told(root: Path) -> None:
    with web() as hub, web() as cdn:
        cdn.put("blob", CONTENT, status=[403])
        url = hub.put("m.gguf", b"", redirect=f"{cdn.url}/blob?Signature=geheim")
        with pytest.raises(DownloadError, match="does not give") as caught:
            get(root, url)
    assert "geheim" not in caught.value.detail
    assert url in caught.value.detail


@pytest.mark.parametrize("token", ["geheim\nzwei", "geheim zwei", "geheimé"])
def test_a_token_that_is_none_is_told_without_it(root: Path, token: str) -> None:
    with web() as site:
        url = site.put("m.gguf", CONTENT)
        with pytest.raises(DownloadError, match="token") as caught:
            get(root, url, hub=site.url, token=token)
        assert "geheim" not in caught.value.detail
        assert not site.asked
        get(root, url, token=token)
    assert (root / FOLDER / "m.gguf").read_bytes() == CONTENT, "others than the hub need no token"


@pytest.mark.parametrize("address", ["http://a..b/m.gguf", "http://1.2.3.999/m.gguf", "http://xn--/m.gguf"])
def test_an_address_that_is_none_is_told(root: Path, address: str) -> None:
    with pytest.raises(DownloadError, match="no address"):
        get(root, address)


@pytest.mark.parametrize("target", ["javascript:1", "http://a..b/m.gguf", "http://1.2.3.999/"])
def test_a_redirect_to_no_address_is_told(root: Path, target: str) -> None:
    with web() as site, pytest.raises(DownloadError, match=r"leads to none|location header"):
        get(root, site.put("m.gguf", b"", redirect=target))


def test_a_disk_without_room_is_told_before_anything_comes(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "RESERVE", 10**18)
    with web() as site, pytest.raises(DownloadError, match="Make room"):
        get(root, site.put("m.gguf", CONTENT))
    assert "m.gguf" not in there(root)


def test_a_size_that_no_disk_has_is_told_and_not_believed(root: Path) -> None:
    """A list of its pieces alone would take more memory than there is."""
    with web() as site, pytest.raises(DownloadError, match="Make room"):
        get(root, site.put("m.gguf", CONTENT, headers={"Content-Range": f"bytes 0-0/{10**26}"}))
    assert "m.gguf" not in there(root)


def test_a_size_that_is_no_number_is_not_known(root: Path) -> None:
    with web() as site:
        told = "9" * 5000
        get(root, site.put("m.gguf", CONTENT, headers={"Content-Range": f"bytes 0-0/{told}"}))
    assert (root / FOLDER / "m.gguf").read_bytes() == CONTENT


def test_a_disk_that_is_full_even_for_the_note_is_told_and_the_part_let_go(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", full)
    with web() as site, pytest.raises(DownloadError, match="disk is full"):
        get(root, site.put("m.gguf", CONTENT))
    opened = [os.path.realpath(each) for each in Path("/proc/self/fd").iterdir()]
    assert not [path for path in opened if path.startswith(str(root))], "its bytes stay on the disk for ever"


@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_that_comes_encoded_is_refused_and_one_that_says_that_it_does_not_is_taken(
    root: Path, ranges: bool
) -> None:
    with web() as site:
        with pytest.raises(DownloadError, match=r"comes encoded \(gzip\)"):
            get(root, site.put("m.gguf", CONTENT, ranges=ranges, headers={"Content-Encoding": "gzip"}))
        get(root, site.put("m.gguf", CONTENT, ranges=ranges, headers={"Content-Encoding": "identity"}))
    assert (root / FOLDER / "m.gguf").read_bytes() == CONTENT


def test_nothing_is_overwritten(root: Path) -> None:
    (root / FOLDER / "m.gguf").write_bytes(b"mine")
    with web() as site, pytest.raises(DownloadError, match="exists already"):
        get(root, site.put("m.gguf", CONTENT))
    assert (root / FOLDER / "m.gguf").read_bytes() == b"mine"


KILLED = """
import asyncio, sys
from pathlib import Path
from janfs.downloads import part as parts, fetch as fetching
from janfs.downloads.guard import Policy
from janfs.downloads.sources import wanted
from janfs.downloads.web import Web
parts.PIECE = 100_000
fetching.SAVE_EVERY = 0.0
async def run():
    file = wanted(sys.argv[2], "m.gguf")
    root = Path(sys.argv[1])
    part = parts.Part(root / "models/m", file.url, file.file_name)
    await fetching.fetch(Web(Policy(private=True)), file, root, "models/m", part, wait=0.01)
asyncio.run(run())
"""


def test_a_download_that_is_killed_again_and_again_goes_on_and_comes_whole(root: Path) -> None:
    with web() as site:
        url = site.put("m.gguf", CONTENT, pace=0.01)
        for kill_after in (0.0, 0.05, 0.1, 0.15):
            asked, until = len(site.asked), time.monotonic() + PATIENCE
            process = subprocess.Popen([sys.executable, "-c", KILLED, str(root), url])
            # The second is for a piece; there is none where all pieces were here, and then it ends.
            while len(site.asked) < asked + 2 and process.poll() is None and time.monotonic() < until:
                time.sleep(0.005)
            time.sleep(kill_after)
            process.send_signal(signal.SIGKILL)
            process.wait()
            if "m.gguf" in there(root):
                break
        site.files["/m.gguf"].pace = 0
        if "m.gguf" not in there(root):
            state = json.loads(next((root / FOLDER).glob("*.json")).read_text())
            assert [each.file_name for each in parts_in(root / FOLDER)] == ["m.gguf"]
            begun = len(site.asked)
            get(root, url)
            kept = {number for number, done in enumerate(state["pieces"]) if done == 100_000}
            # What the killed one asked for may be noted only now; it had not come.
            ranges = {headers["range"].removeprefix("bytes=") for _, headers in site.asked[begun:]}
            came = {int(each.partition("-")[0]) // 100_000 for each in ranges - {"0-0"}}
            assert not kept & came, "pieces that were here came again"
    assert (root / FOLDER / "m.gguf").read_bytes() == CONTENT
    sweep(root / FOLDER)
    assert there(root) == ["m.gguf"]


def test_what_is_removed_while_it_is_saved_stays_removed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saving, go_on = threading.Event(), threading.Event()

    def sync(_: int) -> None:
        saving.set()
        go_on.wait(PATIENCE)

    monkeypatch.setattr(os, "fdatasync", sync)
    part = Part(root / FOLDER, "http://x/m.gguf", "m.gguf")
    part.open(Remote(None, False, None, None))
    saver, remover = threading.Thread(target=part.save), threading.Thread(target=part.remove)
    saver.start()
    assert saving.wait(PATIENCE)
    remover.start()
    remover.join(0.1)  # it is done by then, or waits
    go_on.set()
    saver.join()
    remover.join()
    assert there(root) == [], "a note of it would have it fetched again at the next start"


def test_what_no_note_speaks_of_is_swept_away(root: Path) -> None:
    part = Part(root / FOLDER, "http://x/m.gguf", "m.gguf")
    part.announce()
    part.data.write_bytes(b"some")
    sweep(root / FOLDER)
    assert there(root) == sorted([part.data.name, part.note.name]), "what can be gone on with stays"
    part.note.rename(part.note.with_name(f"{part.note.name}.new"))
    sweep(root / FOLDER)
    assert there(root) == []


@pytest.mark.parametrize("damage", [b"", b"{", b'{"url": "caf\xe9"}'])
def test_a_damaged_note_is_no_note(root: Path, damage: bytes) -> None:
    part = Part(root / FOLDER, "http://x/m.gguf", "m.gguf")
    part.announce()
    part.note.write_bytes(damage)
    assert parts_in(root / FOLDER) == []
    sweep(root / FOLDER)
    part.open(Remote(None, False, None, None))
    assert part.done == 0
