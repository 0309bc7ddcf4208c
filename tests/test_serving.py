"""What is run, and why something is not."""

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from janfs.availability import outsiders
from janfs.catalogue.catalogue import Catalogue
from janfs.errors import ModelNotFound, ModelNotRunnable
from janfs.events import types as e
from janfs.folder import paths
from janfs.folder.filesystem import Stamp
from janfs.listing import ModelList
from janfs.manifest.schema import Manifest
from janfs.pipeline.snapshot import Arrival, Snapshot
from janfs.serving import resolve
from janfs.views import stopped
from tests.fakes.snapshots import FACTS, STAMP, catalogue_of, model_events

ROOT = Path("/data")


def snapshot_of(manifest: Manifest | None = None, **changes: object) -> Snapshot:
    return Snapshot(catalogue_of(*model_events("tiny", manifest, **changes)))  # type: ignore[arg-type]


def test_a_ready_model_is_run_with_the_settings_of_its_model_json() -> None:
    manifest = Manifest(engine_parameters={"ctx_len": 2048}, model_parameters={"temperature": 0.1})
    found = resolve(snapshot_of(manifest), ROOT, "tiny")
    assert found.spec.path == "/data/models/tiny/tiny.gguf"
    assert (found.spec.model_id, found.spec.uid) == ("tiny", "uid-tiny")
    assert found.spec.settings.ctx_len == 2048
    assert found.spec.settings.n_parallel == 4, "what model.json leaves open is built in"
    assert found.model_parameters["temperature"] == 0.1
    assert found.model_parameters["top_p"] == 0.95


def test_model_json_wins_over_the_engine_file_which_wins_over_what_is_built_in() -> None:
    said = Manifest(engine_parameters={"ctx_len": 512, "n_parallel": 2})
    file = ("engine-llama-cpp", e.JsonEdited("engines/nitro.json", STAMP, "00" * 32, said))
    manifest = Manifest(engine_parameters={"ctx_len": 2048})
    snapshot = Snapshot(catalogue_of(*model_events("tiny", manifest), file))
    settings = resolve(snapshot, ROOT, "tiny").spec.settings
    assert (settings.ctx_len, settings.n_parallel, settings.n_batch) == (2048, 2, 512)


def test_another_engine_file_gives_another_fingerprint() -> None:
    edited = e.JsonEdited("engines/llama-cpp.json", STAMP, "00" * 32, Manifest(engine_parameters={"ngl": 0}))
    snapshot = Snapshot(catalogue_of(*model_events("tiny"), ("engine-llama-cpp", edited)))
    found = resolve(snapshot, ROOT, "tiny").spec
    assert found.settings.ngl == 0
    assert found.fingerprint != fingerprint()


def test_a_model_json_that_leaves_the_context_open_gets_it_from_the_header() -> None:
    assert resolve(snapshot_of(Manifest()), ROOT, "tiny").spec.settings.ctx_len == 8192
    short = replace(FACTS, context_length=512)
    assert resolve(snapshot_of(Manifest(), facts=short), ROOT, "tiny").spec.settings.ctx_len == 512
    silent = replace(FACTS, context_length=None)
    assert resolve(snapshot_of(Manifest(), facts=silent), ROOT, "tiny").spec.settings.ctx_len == 4096


def test_a_model_without_model_json_has_the_generated_settings() -> None:
    found = resolve(snapshot_of(), ROOT, "tiny")
    assert found.spec.settings.ctx_len == 8192, "the context comes from the header"
    assert list(found.model_parameters["stop"]) == ["</s>"]
    assert found.spec.engine == "llama-cpp"


def test_nitro_is_an_older_name_of_llama_cpp() -> None:
    assert resolve(snapshot_of(Manifest(engine="nitro")), ROOT, "tiny").spec.engine == "llama-cpp"


def test_a_name_that_is_not_utf8_leads_to_the_bytes_on_disk() -> None:
    raw = b"caf\xe9.gguf"
    path = f"models/cafe/{paths.encode_name(raw)}"
    catalogue = catalogue_of(
        ("u", e.ModelRegistered("cafe", "models/cafe")), ("u", e.FileDropped(path, STAMP, None, FACTS))
    )
    found = resolve(Snapshot(catalogue), ROOT, "cafe").spec.path
    assert found.encode("utf-8", "surrogateescape") == b"/data/models/cafe/caf\xe9.gguf"


def test_an_alias_leads_to_the_model_under_its_present_id() -> None:
    renamed = ("uid-old", e.ModelRenamed("new", "models/new", "old"))
    moved = ("uid-old", e.FileMoved("models/old/old.gguf", "models/new/old.gguf", STAMP))
    snapshot = Snapshot(catalogue_of(*model_events("old"), renamed, moved))
    assert resolve(snapshot, ROOT, "old").spec.model_id == "new"


def test_an_unknown_model_is_not_found() -> None:
    with pytest.raises(ModelNotFound, match="'nothing' does not exist"):
        resolve(snapshot_of(), ROOT, "nothing")


def test_a_removed_model_is_not_found() -> None:
    gone = ("uid-tiny", e.ModelRemoved("gone"))
    with pytest.raises(ModelNotFound):
        resolve(Snapshot(catalogue_of(*model_events("tiny"), gone)), ROOT, "tiny")


def test_a_model_without_its_file_is_not_runnable_and_says_so() -> None:
    gone = ("uid-tiny", e.FileRemoved("models/tiny/tiny.gguf"))
    catalogue = catalogue_of(*model_events("tiny", Manifest()), gone)
    with pytest.raises(ModelNotRunnable, match=r"is missing\. The model file is not in the folder"):
        resolve(Snapshot(catalogue), ROOT, "tiny")


def test_a_model_whose_file_is_being_replaced_is_arriving() -> None:
    arrival = Arrival("models/tiny/tiny.gguf", "Half is here.", 50.0, 500)
    snapshot = replace(snapshot_of(), arrivals={arrival.path: arrival})
    with pytest.raises(ModelNotRunnable, match=r"is arriving \(50.0%\). Half is here"):
        resolve(snapshot, ROOT, "tiny")


def test_another_file_arriving_in_its_folder_does_not_stop_a_model() -> None:
    arrival = Arrival("models/tiny/other.gguf", "Half is here.", 50.0, 500)
    snapshot = replace(snapshot_of(), arrivals={arrival.path: arrival})
    assert resolve(snapshot, ROOT, "tiny").spec.path.endswith("tiny.gguf")


def test_a_file_that_has_no_model_yet_is_arriving_under_the_id_it_will_get() -> None:
    arrival = Arrival("models/Big One.Q4_0.gguf", "Being written.", 12.5, 100)
    snapshot = Snapshot(arrivals={arrival.path: arrival})
    with pytest.raises(ModelNotRunnable, match="arriving"):
        resolve(snapshot, ROOT, "big-one.q4_0")


def test_a_refused_loose_file_gives_its_reason() -> None:
    refused = e.FileRefused("models/notes.gguf", STAMP, "gguf_invalid", "It is text.")
    with pytest.raises(ModelNotRunnable, match=r"invalid\. notes\.gguf: It is text"):
        resolve(Snapshot(catalogue_of(("u", refused))), ROOT, "notes")


@pytest.mark.parametrize("place", ["models", "models/style"], ids=["loose", "in a folder of its own"])
@pytest.mark.parametrize("claimants", [0, 1, 2])
def test_a_part_names_the_models_that_could_claim_it_if_they_are_several(place: str, claimants: int) -> None:
    lora = replace(FACTS, type="adapter", base_model="Tiny")
    dropped = e.FileDropped(f"{place}/style.gguf", STAMP, None, lora)
    models = [event for name in ("one", "two")[:claimants] for event in model_events(name)]
    known = [("style", e.ModelRegistered("style", place))] if place != "models" else []
    snapshot = Snapshot(catalogue_of(*models, *known, ("style", dropped)))
    waits = "that several models could claim: one, two" if claimants == 2 else "of Tiny: it waits for its"
    with pytest.raises(ModelNotRunnable, match=rf"An adapter \(LoRA\) {waits}.*janfs pair style.gguf MODEL"):
        resolve(snapshot, ROOT, "style")


def test_while_the_root_is_unavailable_everything_here_is_listed_as_that() -> None:
    refused = ("u", e.FileRefused("models/notes.gguf", STAMP, "gguf_invalid", "It is text."))
    there = catalogue_of(*model_events("tiny"), refused)
    models = ModelList()

    def listed(catalogue: Catalogue) -> dict[str, tuple[str, str | None]]:
        found = msgspec.json.decode(models.encode(Snapshot(catalogue), stopped))["data"]
        return {each["id"]: (each["status"], each.get("reason")) for each in found}

    before = listed(there)
    assert (before["tiny"], before["notes"][0]) == (("ready", None), "invalid")
    away = catalogue_of(("root", e.RootUnavailable("unmounted")), base=there)
    assert set(listed(away).values()) == {("root-unavailable", "unmounted")}
    assert listed(catalogue_of(("root", e.RootReturned()), base=away)) == before


def test_while_the_root_is_unavailable_nothing_is_runnable() -> None:
    catalogue = catalogue_of(*model_events("tiny"), ("root", e.RootUnavailable("unmounted")))
    with pytest.raises(ModelNotRunnable, match="unmounted"):
        resolve(Snapshot(catalogue), ROOT, "tiny")


@pytest.mark.parametrize(
    "parameters", [{"ctx_len": -1}, {"n_parallel": 1000}, {"flash_attn": "perhaps"}, {"ctx_len": []}]
)
def test_settings_out_of_range_are_a_reason_and_no_crash(parameters: dict[str, object]) -> None:
    with pytest.raises(ModelNotRunnable, match="settings of 'tiny' cannot be used"):
        resolve(snapshot_of(Manifest(engine_parameters=parameters)), ROOT, "tiny")


def fingerprint(manifest: Manifest | None = None, **changes: object) -> str:
    return resolve(snapshot_of(manifest, **changes), ROOT, "tiny").spec.fingerprint


def test_the_fingerprint_is_the_same_however_the_settings_are_ordered() -> None:
    one = fingerprint(Manifest(engine_parameters={"ngl": 1, "ctx_len": 512}))
    assert one == fingerprint(Manifest(engine_parameters={"ctx_len": 512, "ngl": 1}))
    assert re.fullmatch("[0-9a-f]{16}", one)


@given(st.floats(0, 2), st.integers(1, 100_000))
def test_the_fingerprint_does_not_depend_on_model_parameters(temperature: float, max_tokens: int) -> None:
    parameters = {"temperature": temperature, "max_tokens": max_tokens}
    assert fingerprint(Manifest(model_parameters=parameters)) == fingerprint(Manifest())


@given(st.sampled_from(["ctx_len", "ngl", "n_parallel", "n_batch"]), st.integers(1, 256))
def test_the_fingerprint_changes_with_an_engine_setting(name: str, value: int) -> None:
    built_in = {"ctx_len": 4096, "ngl": 100, "n_parallel": 4, "n_batch": 512}
    same = fingerprint(Manifest(engine_parameters={name: value})) == fingerprint(Manifest())
    assert same == (built_in[name] == value), "equal only if the setting is the one that holds anyway"


def test_the_fingerprint_changes_with_the_file() -> None:
    first = fingerprint()
    assert fingerprint(facts=replace(FACTS, header_sha256="cd" * 32)) != first
    assert fingerprint(stamp=Stamp(1001, STAMP.mtime_ns, STAMP.inode)) != first


def test_the_fingerprint_covers_every_shard() -> None:
    def split(last_size: int) -> str:
        events = [("u", e.ModelRegistered("big", "models/big"))]
        for number, size in enumerate((1000, last_size)):
            facts = replace(FACTS, split_no=number, split_count=2)
            path = f"models/big/big-0000{number + 1}-of-00002.gguf"
            events.append(("u", e.FileDropped(path, Stamp(size, 1, number), None, facts)))  # type: ignore[arg-type]
        found = resolve(Snapshot(catalogue_of(*events)), ROOT, "big").spec
        assert found.path.endswith("big-00001-of-00002.gguf")
        return found.fingerprint

    assert split(1000) != split(1001)


@given(st.lists(st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=12), unique=True))
def test_every_file_that_arrives_has_an_id_of_its_own(names: list[str]) -> None:
    arriving = [f"models/{paths.encode_name(name.encode('utf-8', 'surrogatepass'))}.gguf" for name in names]
    snapshot = Snapshot(
        catalogue_of(*model_events("model")), {path: Arrival(path, "", None, 0) for path in arriving}
    )
    ids = [outsider.id for outsider in outsiders(snapshot)]
    assert len(set(ids)) == len(arriving), f"ids {ids} for {arriving}"
    assert "model" not in ids, "the id of a model that is there was given again"


def test_an_archive_that_is_refused_is_listed_under_its_name_without_the_ending() -> None:
    refused = e.FileRefused("models/My Model.janfs.tar", STAMP, "archive_invalid", "It ends in the middle.")
    (listed,) = outsiders(Snapshot(catalogue_of(("u", refused))))
    assert (listed.id, listed.availability.status) == ("my-model", "invalid")


def with_adapters(wanted: object = None, **changes: object) -> Snapshot:
    """The model with two LoRAs in its folder."""
    manifest = Manifest(engine_parameters={} if wanted is None else {"adapters": wanted})
    facts = replace(FACTS, type="adapter", **changes)
    dropped = [
        ("uid-tiny", e.FileDropped(f"models/tiny/{name}.gguf", Stamp(9, 1, place), None, facts))
        for place, name in enumerate(("formal", "brief"))
    ]
    return Snapshot(catalogue_of(*model_events("tiny", manifest), *dropped))


@pytest.mark.parametrize(
    ("wanted", "applied"),
    [(None, ["brief", "formal"]), (["formal.gguf"], ["formal"]), ("brief.gguf", ["brief"]), ([], [])],
)
def test_the_loras_of_the_folder_are_applied_unless_model_json_chooses(
    wanted: object, applied: list[str]
) -> None:
    spec = resolve(with_adapters(wanted), ROOT, "tiny").spec
    assert spec.adapters == tuple(f"/data/models/tiny/{name}.gguf" for name in applied)
    assert {part.path for part in spec.parts} >= {f"models/tiny/{name}.gguf" for name in applied}
    assert spec.path == "/data/models/tiny/tiny.gguf"


def test_an_adapter_that_is_not_there_is_named() -> None:
    with pytest.raises(ModelNotRunnable, match=r"adapters names bold\.gguf; the model's folder has brief"):
        resolve(with_adapters(["bold.gguf"]), ROOT, "tiny")


def test_the_fingerprint_covers_the_adapters_that_are_applied() -> None:
    def of(*args: object, **changes: object) -> str:
        return resolve(with_adapters(*args, **changes), ROOT, "tiny").spec.fingerprint

    assert of() != of(header_sha256="cd" * 32)
    assert len({of(), of([]), of(["brief.gguf"])}) == 3


@pytest.mark.parametrize(
    ("wanted", "there", "used"),
    [
        (None, ["eyes"], "eyes"),
        (None, ["eyes", "more"], None),
        ("eyes.gguf", ["eyes", "more"], "eyes"),
        ("/old/place/more.gguf", ["eyes", "more"], "more"),
        ("gone.gguf", ["eyes"], None),
    ],
)
def test_the_projector_is_the_one_that_model_json_names_or_the_only_one(
    wanted: str | None, there: list[str], used: str | None
) -> None:
    manifest = Manifest(engine_parameters={} if wanted is None else {"mmproj": wanted})
    facts = replace(FACTS, type="mmproj")
    dropped = [
        ("uid-tiny", e.FileDropped(f"models/tiny/{name}.gguf", Stamp(9, 1, place), None, facts))
        for place, name in enumerate(there)
    ]
    spec = resolve(Snapshot(catalogue_of(*model_events("tiny", manifest), *dropped)), ROOT, "tiny").spec
    assert spec.projector == (f"/data/models/tiny/{used}.gguf" if used is not None else None)
