"""Downloads and the catalogue: what a model lacks is fetched, and what happens is recorded."""

import contextlib
import threading
from pathlib import Path

from msgspec.structs import replace

from janfs.catalogue.catalogue import Catalogue, files_of, find_model, present_models
from janfs.catalogue.entries import Model, Plan
from janfs.catalogue.status import manifest_of
from janfs.clock import random_id
from janfs.downloads import hub, pulled
from janfs.downloads.guard import Policy, check_url
from janfs.downloads.manager import Came, Download, Downloads, Ended, Fact, Progress, Started
from janfs.downloads.part import parts_in, sweep
from janfs.downloads.sources import Wanted, wanted_of, whole_set
from janfs.errors import FolderError, InvalidInput, ModelNotFound, Unseen
from janfs.events import types as e
from janfs.folder import paths
from janfs.folder.real import RealFileSystem
from janfs.folder.staging import Staging
from janfs.manifest.schema import Manifest
from janfs.organise import replacing
from janfs.organise.disk import vacant_folder
from janfs.organise.naming import id_from_file_name
from janfs.organise.pairing import head_of
from janfs.pipeline.commands import Look, Record
from janfs.pipeline.loop import Pipeline
from janfs.pipeline.recorder import Draft
from janfs.pipeline.snapshot import Arrival, Snapshot


class Downloader:
    """Fetches what models lack. Every method may block; call them from a thread that can wait."""

    def __init__(self, root: Path, pipeline: Pipeline, policy: Policy) -> None:
        self._root = root
        self._fs = RealFileSystem(root)
        self._pipeline = pipeline
        self._policy = policy
        self._making = threading.Lock()  # or two who pull one file at once get a model each
        self._downloads = Downloads(root, self._tell, policy)

    def start(self, name: str, actor: str) -> str:
        """Begin to fetch what a model lacks, unless that runs already; the model's id.

        Raises `ModelNotFound`, `InvalidInput` where there is nothing to fetch, or `DownloadRefused`.
        """
        catalogue = self._pipeline.snapshot.catalogue
        model = _find(catalogue, name)
        if model.remote is not None:
            raise InvalidInput(f"'{model.id}' is a model on another machine; there is nothing to fetch.")
        wanted = _lacking(catalogue, model)
        for each in wanted:
            check_url(self._policy, each.url)
        if self.progress(model.uid) is None:
            self._downloads.start(Download(model.uid, model.folder, wanted, actor))
        return model.id

    def wait(self, name: str) -> None:
        """Return once a model's download is over."""
        uid = _find(self._pipeline.snapshot.catalogue, name).uid
        self._downloads.wait(uid)

    def cancel(self, name: str, actor: str) -> bool:
        """Stop a model's download and remove what came of it; False if there is none."""
        model = _find(self._pipeline.snapshot.catalogue, name)
        return self._downloads.cancel(model.uid, f"Cancelled by {actor}.")

    def pull(self, source: str, actor: str) -> str:
        """Make a model of an address or `hf:org/repo[:file]` and begin to fetch it; its id.

        What is here already under those addresses is gone on with. Raises `InvalidInput`, `DownloadError`.
        """
        asked = hub.parse(source)
        if isinstance(asked, hub.Repository):
            listing = self._downloads.ask(hub.listing_url(hub.address(), asked))
            wanted = tuple(hub.choose(hub.address(), asked, hub.files_of(listing)))
        else:
            wanted = whole_set(asked)
        if not paths.is_binary(wanted[0].file_name):
            raise InvalidInput(f"{wanted[0].file_name} is no .gguf file.", param="source")
        for each in wanted:
            check_url(self._policy, each.url)
        with self._making:
            model_id = self._model_for(wanted)
        model = _find(self._pipeline.snapshot.catalogue, model_id)
        if model.status != "ready":
            self.start(model_id, actor)
        return model_id

    def resume(self) -> None:
        """Go on with what was coming when janfs ended; what failed waits to be asked for."""
        catalogue = self._pipeline.snapshot.catalogue
        for model in present_models(catalogue):
            if self.progress(model.uid) is None:
                sweep(self._root / model.folder)
            with contextlib.suppress(InvalidInput):  # its model.json says something else by now
                if model.status == "ready":
                    named = manifest_of(files_of(catalogue, model.uid)) or Manifest()
                    self._complete(model.uid, model.folder, wanted_of(named))
                elif model.download_error is None and parts_in(self._root / model.folder):
                    wanted = _lacking(catalogue, model)
                    self._downloads.start(Download(model.uid, model.folder, wanted, "janfs"))

    def progress(self, uid: str) -> Progress | None:
        """How far a model's download is, if one runs."""
        return next((each for each in self._downloads.progress() if each.uid == uid), None)

    def running(self) -> list[tuple[str, Progress]]:
        """The ids of the models that are being fetched, and how far each is."""
        models = self._pipeline.snapshot.catalogue.models
        return [(models[each.uid].id, each) for each in self._downloads.progress() if each.uid in models]

    def snapshot(self) -> Snapshot:
        """The pipeline's snapshot, in which models that are being fetched are arriving."""
        snapshot = self._pipeline.snapshot
        coming = dict(map(_arrival, self._downloads.progress()))
        return replace(snapshot, arrivals={**snapshot.arrivals, **coming}) if coming else snapshot

    def close(self) -> None:
        """Stop; what came is kept."""
        self._downloads.close()

    def _model_for(self, wanted: tuple[Wanted, ...]) -> str:
        """The model with these sources; made if there is none."""
        urls = {each.url for each in wanted}
        catalogue = self._pipeline.snapshot.catalogue
        for model in present_models(catalogue):
            manifest = manifest_of(files_of(catalogue, model.uid))
            if manifest is not None and urls <= {source.url for source in manifest.sources}:
                return model.id
        named = id_from_file_name(wanted[0].file_name)
        try:
            with Staging(self._root) as making:
                model_id = paths.name(vacant_folder(self._fs, catalogue, named))
                (making.path / paths.MANIFEST).write_bytes(pulled.first(model_id, wanted))
                folder = making.publish(model_id)
        except OSError as error:
            raise FolderError(f"{named} cannot be made: {error.strerror}.") from error
        self._pipeline.submit(Look()).result()
        owner = self._pipeline.snapshot.catalogue.folders.get(folder)
        if owner is None:
            raise FolderError(f"{folder} was made, and cannot be seen.")
        return self._pipeline.snapshot.catalogue.models[owner].id

    async def _tell(self, download: Download, fact: Fact) -> None:
        """Record what happened; in the thread of the downloads, for which waiting is all right."""
        urls = tuple(each.url for each in download.wanted)
        match fact:
            case Started():
                sizes = [each.size for each in download.wanted]
                total = sum(size for size in sizes if size is not None) if None not in sizes else None
                self._record(download, e.DownloadStarted(urls, total), download.actor)
            case Came(url, fetched):
                size = fetched.stamp.size
                event = e.FileDownloaded(fetched.path, url, size, fetched.sha256, fetched.expected)
                self._record(download, event)
                self._pipeline.submit(Look()).result()
                self._record(download, e.FileHashed(fetched.path, fetched.stamp, fetched.sha256, "download"))
            case Ended(error=None, cancelled=None):
                self._record(download, e.DownloadCompleted(urls, fact.seconds))
                self._complete(download.uid, download.folder, download.wanted)
            case Ended(cancelled=str(reason)):
                self._record(download, e.DownloadCancelled(reason), download.actor)
            case Ended(error=error) if error is not None:
                self._record(download, e.DownloadFailed(fact.url, error.code, error.detail))

    def _record(self, download: Download, event: e.Event, actor: str = "janfs") -> None:
        self._pipeline.submit(Record((Draft(download.uid, event, actor),))).result()

    def _complete(self, uid: str, folder: str, wanted: tuple[Wanted, ...]) -> None:
        """Give a model.json that we made for a pull what only the file's header knows; no one else's."""
        catalogue = self._pipeline.snapshot.catalogue
        model = catalogue.models.get(uid)
        facts = head_of(catalogue, model) if model is not None else None
        if not wanted or model is None or facts is None or model.binary is None or model.folder != folder:
            return
        path = paths.join(model.folder, paths.MANIFEST)
        first = pulled.first(model.id, wanted)
        size = sum(f.stamp.size for f in files_of(catalogue, model.uid) if paths.is_binary(f.path))
        created = catalogue.files[model.binary].stamp.mtime_ns // 1_000_000_000
        made = pulled.completed(model.id, wanted, facts, size=size, created=created)
        with contextlib.suppress(FolderError, Unseen):  # the first one does as well
            replacing.replace(self._fs, Plan(random_id(), uid, 0, path), made, first)
        self._pipeline.submit(Look()).result()


def _find(catalogue: Catalogue, name: str) -> Model:
    model = find_model(catalogue, name)
    if model is None:
        raise ModelNotFound(name)
    return model


def _lacking(catalogue: Catalogue, model: Model) -> tuple[Wanted, ...]:
    """The files that a model.json gives an address for and that are not here. Raises `InvalidInput`."""
    files = files_of(catalogue, model.uid)
    here = {paths.shown_name(file.path) for file in files}
    wanted = wanted_of(manifest_of(files) or Manifest())
    if not wanted:
        raise InvalidInput(
            f"The model.json of '{model.id}' names no address among its sources.", param="model"
        )
    lacking = tuple(each for each in wanted if each.file_name not in here)
    if not lacking:
        raise InvalidInput(f"All files of '{model.id}' are here already.", param="model")
    return lacking


def _arrival(progress: Progress) -> tuple[str, Arrival]:
    share = 100 * progress.done / progress.total if progress.total else None
    path = paths.join(progress.folder, "download.gguf")  # the name says no more than what kind of file comes
    reason = "Being downloaded." if progress.file_name else "Waiting for other downloads."
    return path, Arrival(path, reason, share, progress.done)
