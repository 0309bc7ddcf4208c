"""A person at work in a models folder while janfs is killed under her hands."""

import json
import random
import shutil
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
from msgspec import Struct

from janfs.folder import paths
from tests.support.ggufs import tiny_gguf
from tests.support.patience import PATIENCE

PAUSE = 0.03  # seconds between two deeds, at most
MOST = 60  # models at once; where there are more, she deletes


class Mine(Struct):
    """What the file of one of her models holds, and what she last wrote into its model.json."""

    content: bytes
    said: str | None = None


class Load:
    """Her deeds, one after another in a thread of their own, and what has to come of them.

    The same seed tries the same deeds in the same order; which of them can be done at a moment depends on
    how far janfs is.
    """

    def __init__(self, models: Path, seed: int) -> None:
        self.models = models
        self.url: str | None = None  # where janfs answers now, if it does
        self.alive: dict[str, Mine] = {}  # by the names of the files
        self.deleted: dict[str, bytes] = {}  # deleted, and that was answered
        self.unsure: dict[str, bytes] = {}  # asked to be deleted, without an answer
        self.seen: list[Any] = []  # events that were shown
        self.done: Counter[str] = Counter()
        self.failure: Exception | None = None
        self._chance = random.Random(seed)
        self._count = 0
        self._client = httpx.Client(timeout=PATIENCE, trust_env=False)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._client.close()

    def _run(self) -> None:
        deeds = [self._drop, self._drop_folder, self._edit, self._edit, self._replace, self._rename]
        deeds += [self._delete, self._remove, self._read]
        try:
            while not self._stopping.wait(self._chance.uniform(0, PAUSE)):
                deed = self._chance.choice(deeds)
                if len(self.alive) > MOST and deed in (self._drop, self._drop_folder):
                    deed = self._delete
                self.done[deed.__name__.lstrip("_")] += deed()
        except Exception as failure:  # noqa: BLE001 - the test tells
            self.failure = failure

    # Her deeds; each says whether it could be done.

    def _drop(self) -> bool:
        name, content = self._new()
        (self.models / name).write_bytes(content)
        return True

    def _drop_folder(self) -> bool:
        name, content = self._new()
        folder = self.models / f"nest-{self._count}" / f"Model {self._count}"
        folder.mkdir(parents=True)
        (folder / "README.md").write_text(name)
        (folder / name).write_bytes(content)
        return True

    def _edit(self) -> bool:
        """In place, or with a new file over the old one."""
        name, home = self._one()
        if home is None:
            return False
        path = home / paths.MANIFEST
        said = f"edit {self._number()}"
        text = json.dumps(json.loads(path.read_text()) | {"description": said})
        if self._chance.random() < 0.5:
            path.write_text(text)
        else:
            (home / "model.json.swp").write_text(text)
            (home / "model.json.swp").replace(path)
        self.alive[name].said = said
        return True

    def _replace(self) -> bool:
        """A newer file in place of the old one."""
        name, home = self._one()
        if home is None:
            return False
        content = tiny_gguf(f"newer {self._number()}")
        (home / f"{name}.part").write_bytes(content)
        (home / f"{name}.part").replace(home / name)
        self.alive[name].content = content
        return True

    def _rename(self) -> bool:
        _, home = self._one()
        if home is None:
            return False
        home.rename(self.models / f"renamed-{self._number()}")
        return True

    def _delete(self) -> bool:
        name, home = self._one()
        if home is None:
            return False
        listed = self._ask("GET", "/v1/models") or {"data": []}
        ids = [each["id"] for each in listed["data"] if each["folder"] == f"models/{home.name}"]
        if not ids:
            return False
        answer = self._ask("DELETE", f"/v1/models/{ids[0]}")
        if answer is None:
            self.unsure[name] = self.alive.pop(name).content
        elif answer.get("deleted"):
            self.deleted[name] = self.alive.pop(name).content
        return True

    def _remove(self) -> bool:
        """By hand; as long as janfs sees a model without a model.json meanwhile, it writes one."""
        name, home = self._one()
        if home is None or self._chance.random() < 0.5:
            return False
        while home.exists():
            shutil.rmtree(home, ignore_errors=True)
        del self.alive[name]
        return True

    def _read(self) -> bool:
        """Note what the log says now; that it has to say for ever."""
        after = self.seen[-1]["position"] if self.seen else 0
        page = self._ask("GET", f"/v1/events?after={after}&limit=1000")
        self.seen += page["data"] if page is not None else []
        return page is not None

    # Helpers.

    def _number(self) -> int:
        self._count += 1
        return self._count

    def _new(self) -> tuple[str, bytes]:
        name = f"model-{self._number()}"
        content = tiny_gguf(name)
        self.alive[f"{name}.gguf"] = Mine(content)
        return f"{name}.gguf", content

    def _one(self) -> tuple[str, Path | None]:
        """One of her models, and its folder if it has come to rest in one."""
        if not self.alive:
            return "", None
        name = self._chance.choice(list(self.alive))
        homes = [path.parent for path in self.models.glob(f"*/{name}")]
        return name, next((home for home in homes if (home / paths.MANIFEST).exists()), None)

    def _ask(self, method: str, path: str) -> Any:
        """What janfs answers; None where it is not there, or dies over it."""
        if self.url is None:
            return None
        try:
            return self._client.request(method, self.url + path).json()
        except (httpx.HTTPError, ValueError):
            return None
