"""Where commands get their answers: from the running service, else from the log and the folder themselves."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from janfs.cli.addresses import of_model
from janfs.cli.common import headers_of
from janfs.clock import SystemClock
from janfs.errors import InvalidInput, JanfsError, ModelNotFound, NotFound, RootUnusable
from janfs.root import OpenRoot, owner_of, read_log

if TYPE_CHECKING:
    from janfs.catalogue.catalogue import Catalogue
    from janfs.log.store import EventLog
    from janfs.pipeline.snapshot import Snapshot

T = TypeVar("T")
PAGE = 1000  # events asked for at once


class Source(Protocol):
    """Answers as the API gives them."""

    def models(self, at: str | None = None) -> list[dict[str, Any]]:
        """Every model; with `at` as they were at that moment, for which `InvalidInput` may be raised."""
        ...

    def model(self, name: str, at: str | None = None) -> dict[str, Any]:
        """One model, with `at` as it was then. Raises `ModelNotFound`, `InvalidInput`."""
        ...

    def config(self, name: str, at: str | None = None) -> dict[str, Any]:
        """The settings that hold for a model, with their origins. Raises `ModelNotFound`."""
        ...

    def engines(self) -> list[dict[str, Any]]:
        """Every engine with its settings."""
        ...

    def history(self, name: str | None) -> Iterator[dict[str, Any]]:
        """The events of one model, or all. Raises `ModelNotFound`."""
        ...

    def earlier(self, name: str) -> list[dict[str, Any]]:
        """What happened to a model before it came in an archive. Raises `ModelNotFound`."""
        ...


def open_source(root: Path, api_key: str | None) -> Source:
    """The service that has the root open, if one has; else the root itself.

    Raises `RootUnusable` for a root without a log.
    """
    return running(root, api_key) or Offline(root)


def running(root: Path, api_key: str | None) -> "Service | None":
    """The service that has the root open, if one has. Raises `RootUnusable` for one that does not serve."""
    owner = owner_of(root)
    if owner is None:
        return None
    if owner.url is None:
        raise RootUnusable(f"janfs (process {owner.pid}) is starting or stopping on {root}. Try again.")
    return Service(owner.url, api_key)


class Service:
    """The API of a running janfs."""

    def __init__(self, url: str, api_key: str | None) -> None:
        self._url = url
        self._headers = headers_of(api_key)

    def models(self, at: str | None = None) -> list[dict[str, Any]]:
        """See `Source.models`."""
        found: list[dict[str, Any]] = self.ask("GET", "/v1/models", query={"at": at})["data"]
        return found

    def model(self, name: str, at: str | None = None) -> dict[str, Any]:
        """See `Source.model`."""
        return self.ask("GET", of_model(name), query={"at": at})

    def config(self, name: str, at: str | None = None) -> dict[str, Any]:
        """See `Source.config`."""
        return self.ask("GET", of_model(name, "/config"), query={"at": at})

    def engines(self) -> list[dict[str, Any]]:
        """See `Source.engines`."""
        found: list[dict[str, Any]] = self.ask("GET", "/v1/engines")["data"]
        return found

    def history(self, name: str | None) -> Iterator[dict[str, Any]]:
        """See `Source.history`."""
        path = "/v1/events" if name is None else of_model(name, "/history")
        after: int | None = 0
        while after is not None:
            page = self.ask("GET", f"{path}?after={after}&limit={PAGE}")
            yield from page["data"]
            after = page["next"]

    def earlier(self, name: str) -> list[dict[str, Any]]:
        """See `Source.earlier`."""
        found: list[dict[str, Any]] = self.ask("GET", of_model(name, "/imported"))["data"]
        return found

    def save(self, method: str, path: str, keep: "Callable[[Iterator[bytes]], int]") -> int:
        """Hand the bytes of an answer to `keep` as they come; what that gives. Raises as `ask` does."""
        import httpx

        url = self._url + path
        patient = httpx.Timeout(30.0, read=600.0)  # hashing comes before the first byte
        try:
            with httpx.stream(method, url, headers=self._headers, timeout=patient, trust_env=False) as answer:
                if answer.is_success:
                    return keep(answer.iter_bytes())
                answer.read()
        except httpx.HTTPError as error:
            raise JanfsError(f"The running janfs at {self._url} broke off: {error}") from error
        raise _refusal(answer.status_code, answer.json(), answer.text)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str | None] | None = None,
        seconds: float | None = 30.0,
        kind: str = "application/json",
    ) -> dict[str, Any]:
        """One request and its answer. In the query None is left out; `kind` is the body's type.

        Raises `JanfsError` for an answer that says no, or none at all.
        """
        import httpx

        try:
            answer = httpx.request(
                method,
                self._url + path,
                # None would take away the query that a path has already.
                params={name: value for name, value in (query or {}).items() if value is not None} or None,
                headers=self._headers if body is None else {**self._headers, b"Content-Type": kind.encode()},
                json=body,
                timeout=seconds,
                trust_env=False,
            )
        except httpx.HTTPError as error:
            raise JanfsError(f"The running janfs at {self._url} does not answer: {error}") from error
        said: dict[str, Any] = answer.json()
        if answer.is_success:
            return said
        raise _refusal(answer.status_code, said, answer.text)


class Offline:
    """A root that nobody has open: what its log says."""

    def __init__(self, root: Path) -> None:
        read_log(root).close()  # a clear answer where there is no log
        self._root = root

    def models(self, at: str | None = None) -> list[dict[str, Any]]:
        """See `Source.models`."""
        from janfs.listing import ModelList
        from janfs.views import stopped

        with OpenRoot(self._root, SystemClock()) as root:
            return list(msgspec.json.decode(ModelList().encode(_snapshot(root, at), stopped))["data"])

    def model(self, name: str, at: str | None = None) -> dict[str, Any]:
        """See `Source.model`."""
        from janfs.past.models import model_at
        from janfs.views import find_view, stopped

        with OpenRoot(self._root, SystemClock()) as root:
            if at is None:
                view = find_view(_snapshot(root), name, stopped)
            else:
                view = model_at(root.log, _catalogue(root, None), _catalogue(root, at), name)
        if view is None:
            raise ModelNotFound(name)
        return dict(msgspec.to_builtins(view))

    def config(self, name: str, at: str | None = None) -> dict[str, Any]:
        """See `Source.config`."""
        from janfs.origins import config_of

        with OpenRoot(self._root, SystemClock()) as root:
            found = config_of(_catalogue(root, at), name, root.log.document)
        return dict(msgspec.to_builtins(found))

    def engines(self) -> list[dict[str, Any]]:
        """See `Source.engines`."""
        from janfs.engine_views import engine_list

        with OpenRoot(self._root, SystemClock()) as root:
            return list(msgspec.to_builtins(engine_list(_snapshot(root)).data))

    def earlier(self, name: str) -> list[dict[str, Any]]:
        """See `Source.earlier`."""
        from janfs.archive.export import earlier_histories
        from janfs.views import event_view, stream_of

        with OpenRoot(self._root, SystemClock()) as root:
            stream = stream_of(_snapshot(root).catalogue, name)
            found = earlier_histories(root.log, root.log.read(stream=stream))
        return [
            {"archive": archive, "event": msgspec.json.decode(msgspec.json.encode(event_view(record)))}
            for archive, record in found
        ]

    def look(self, find: "Callable[[EventLog, Catalogue], T]") -> T:
        """What is found in the log and the catalogue."""
        with OpenRoot(self._root, SystemClock()) as root:
            return find(root.log, _catalogue(root, None))

    def history(self, name: str | None) -> Iterator[dict[str, Any]]:
        """See `Source.history`."""
        from janfs.views import event_view, stream_of

        with OpenRoot(self._root, SystemClock()) as root:
            stream = None if name is None else stream_of(_snapshot(root).catalogue, name)
            for record in root.log.read(stream=stream):
                yield msgspec.json.decode(msgspec.json.encode(event_view(record)))


def _refusal(status: int, said: dict[str, Any], text: str) -> JanfsError:
    detail = str(said.get("error", {}).get("message", text))
    if status == 401:
        detail = "The running janfs asks for a key: --api-key KEY, or JANFS_API_KEY in the environment."
    return {404: NotFound, 400: InvalidInput}.get(status, JanfsError)(detail)


def _catalogue(root: OpenRoot, at: str | None) -> "Catalogue":
    from janfs.past.moments import AsOf, position_at

    head = root.log.head.position
    position = head if at is None else position_at(root.log, head, at, SystemClock().now())
    return _snapshot(root).catalogue if position == head else AsOf(root.log, root.paths.past).at(position)


def _snapshot(root: OpenRoot, at: str | None = None) -> "Snapshot":
    from janfs.pipeline.recorder import Recorder
    from janfs.pipeline.snapshot import Snapshot, of_log

    return of_log(Recorder(root.log).catalogue) if at is None else Snapshot(_catalogue(root, at))
