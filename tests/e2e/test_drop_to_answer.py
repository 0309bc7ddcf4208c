"""The whole main job: a file is dropped, organised, listed, and answers through the official client."""

import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import openai
import psutil
import pytest
from llama_cpp import Llama

from tests.e2e.conftest import SAMPLE_ID
from tests.support.patience import PATIENCE
from tests.support.service import ServiceProcess

pytestmark = pytest.mark.model

Start = Callable[..., ServiceProcess]
HELLO = [
    {"role": "system", "content": "Answer in one short sentence."},
    {"role": "user", "content": "What is the capital of France?"},
]


def client_of(service: ServiceProcess, key: str = "none") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{service.url}/v1", api_key=key, max_retries=0)


def workers_of(service: ServiceProcess) -> list[psutil.Process]:
    return psutil.Process(service.process.pid).children(recursive=True)


def test_a_dropped_model_is_organised_listed_and_answers(start: Start, sample_model: Path) -> None:
    service = start("--hashing", "off")
    service.wait_ready()
    shutil.copyfile(sample_model, service.root / "models" / sample_model.name)
    service.wait_model(SAMPLE_ID)

    home = service.root / "models" / SAMPLE_ID
    assert sorted(file.name for file in home.iterdir()) == [sample_model.name, "model.json"]
    assert not (service.root / "models" / sample_model.name).exists()

    with client_of(service) as client:
        listed = [model.id for model in client.models.list()]
        assert listed == [SAMPLE_ID]
        assert client.models.retrieve(SAMPLE_ID).created > 1_600_000_000, "created is in seconds"

        answer = client.chat.completions.create(model=SAMPLE_ID, messages=HELLO, temperature=0, max_tokens=32)
        assert "Paris" in (answer.choices[0].message.content or "")
        assert answer.choices[0].finish_reason in ("stop", "length")
        assert answer.usage is not None
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens

        pieces = list(
            client.chat.completions.create(
                model=SAMPLE_ID, messages=HELLO, temperature=0, max_tokens=32, stream=True
            )
        )
        streamed = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
        assert streamed == answer.choices[0].message.content
        assert pieces[-1].choices[0].finish_reason == answer.choices[0].finish_reason

        text = client.completions.create(model=SAMPLE_ID, prompt="1, 2, 3, 4,", temperature=0, max_tokens=6)
        assert "5" in text.choices[0].text

    fingerprint = answer.system_fingerprint
    assert {piece.system_fingerprint for piece in pieces} == {fingerprint}
    meant = service.get(f"/v1/fingerprints/{fingerprint}")
    assert meant["parts"][0]["path"] == f"models/{SAMPLE_ID}/{sample_model.name}"
    assert meant["parts"][0]["stamp"]["size"] == sample_model.stat().st_size
    assert meant["settings"]["ctx_len"] > 0

    types = [event["type"] for event in service.get(f"/v1/models/{SAMPLE_ID}/history")["data"]]
    assert types == [
        "file-dropped",
        "model-registered",
        "move-planned",
        "move-completed",
        "write-planned",
        "json-written",
        "model-started",
    ]


def test_an_edit_of_model_json_rules_the_next_run(start: Start, sample_model: Path) -> None:
    service = start("--sample")
    service.wait_model(SAMPLE_ID)
    manifest = service.root / "models" / SAMPLE_ID / "model.json"
    text = manifest.read_text().replace('"max_tokens": 4096,', '"max_tokens": 3, // short, please')
    manifest.write_text(text)
    service.wait(
        lambda: service.models()[SAMPLE_ID]["model_parameters"]["max_tokens"] == 3,
        "the edit to show",
        within=45.0,  # untold, it would be found when everything is looked at, once a minute
    )
    with client_of(service) as client:
        answer = client.chat.completions.create(model=SAMPLE_ID, messages=HELLO)
        assert answer.usage is not None
        assert answer.usage.completion_tokens == 3
        assert answer.choices[0].finish_reason == "length"
    assert manifest.read_text() == text, "an edited model.json was written over"
    edits = [e for e in service.get(f"/v1/models/{SAMPLE_ID}/history")["data"] if e["type"] == "json-edited"]
    assert [edit["actor"] for edit in edits] == ["folder"]


def test_a_copy_in_progress_is_shown_and_never_taken(start: Start, sample_model: Path) -> None:
    service = start()
    service.wait_ready()
    content = sample_model.read_bytes()
    target = service.root / "models" / sample_model.name
    with target.open("wb") as copy:
        copy.write(content[: len(content) // 4])
        copy.flush()
        service.wait_model(SAMPLE_ID, "arriving")
        service.wait(lambda: service.models()[SAMPLE_ID].get("progress") == 25.0, "25 %")
        time.sleep(1)
        assert target.exists(), "half a copy was moved"
        copy.write(content[len(content) // 4 :])
    service.wait_model(SAMPLE_ID)
    assert (service.root / "models" / SAMPLE_ID / sample_model.name).read_bytes() == content


def test_a_worker_that_is_killed_takes_only_its_own_requests_with_it(start: Start) -> None:
    service = start("--sample", "--spare-worker", "off", "--hashing", "off")
    service.wait_model(SAMPLE_ID)
    with client_of(service) as client:
        stream = client.chat.completions.create(
            model=SAMPLE_ID, messages=HELLO, max_tokens=2000, stream=True, extra_body={"ignore_eos": True}
        )
        next(iter(stream))
        (worker,) = workers_of(service)
        worker.kill()
        with pytest.raises(openai.APIError):
            for _ in stream:
                pass
        answer = client.chat.completions.create(model=SAMPLE_ID, messages=HELLO, max_tokens=4)
        assert answer.choices[0].message.content
    types = [event["type"] for event in service.get(f"/v1/models/{SAMPLE_ID}/history")["data"]]
    assert types[-3:] == ["model-started", "engine-crashed", "model-started"]
    assert service.client.get("/healthz").is_success


def test_greedy_answers_are_llama_cpps_own_whatever_was_started_anew(
    start: Start, sample_model: Path
) -> None:
    # What comes next is clearly the likeliest: see tests/engines/llama_cpp/test_answers.py.
    prompts = ("2 4 6 8 10 12", "1, 2, 3, 4, 5, 6,")
    oracle = Llama(str(sample_model), n_ctx=512, n_threads=1, flash_attn=True, verbose=False)

    def said(prompt: str) -> str:
        answer = oracle.create_completion(prompt, max_tokens=16, temperature=0.0, repeat_penalty=1.0)
        return str(answer["choices"][0]["text"])

    def answers(service: ServiceProcess) -> list[str]:
        with client_of(service) as client:
            asked = (
                client.completions.create(model=SAMPLE_ID, prompt=each, temperature=0, max_tokens=16)
                for each in prompts
            )
            return [answer.choices[0].text for answer in asked]

    expected = [said(prompt) for prompt in prompts]
    service = start("--sample", "--spare-worker", "off")
    service.wait_model(SAMPLE_ID)
    assert answers(service) == expected
    assert answers(service) == expected, "with what was computed before"
    (worker,) = workers_of(service)
    worker.kill()
    service.wait(lambda: not workers_of(service), "the worker to be gone")
    assert answers(service) == expected, "of another worker"
    service.client.put(f"/v1/models/{SAMPLE_ID}/stop").raise_for_status()
    assert answers(service) == expected, "loaded again"
    service.kill()
    again = start()
    again.wait_model(SAMPLE_ID)
    assert answers(again) == expected, "of another service"


def test_a_client_that_goes_away_stops_its_generation(start: Start) -> None:
    service = start("--sample", "--spare-worker", "off")
    service.wait_model(SAMPLE_ID)
    body = {"model": SAMPLE_ID, "messages": HELLO, "max_tokens": 6000, "ignore_eos": True, "stream": True}
    with service.client.stream("POST", "/v1/chat/completions", json=body) as answer:
        next(answer.iter_lines())
    (worker,) = workers_of(service)
    counted = f'{{model="{SAMPLE_ID}",outcome="cancelled"}} 1.0'
    service.wait(lambda: counted in service.client.get("/metrics").text, "it to be cancelled")

    def rests() -> bool:
        before = worker.cpu_times()
        time.sleep(0.5)
        return worker.status() == psutil.STATUS_SLEEPING and worker.cpu_times()[:2] == before[:2]

    service.wait(rests, "it to stop computing for nobody", within=45.0)  # 6,000 words take longer


def test_no_worker_survives_a_killed_service(start: Start) -> None:
    service = start("--sample")
    service.wait_model(SAMPLE_ID)
    service.client.put(f"/v1/models/{SAMPLE_ID}/start").raise_for_status()
    workers = workers_of(service)
    assert workers
    service.kill()
    _, alive = psutil.wait_procs(workers, PATIENCE)
    assert not alive, "orphans are left"


def test_it_stops_in_good_order(start: Start) -> None:
    service = start("--sample")
    service.wait_model(SAMPLE_ID)
    service.client.put(f"/v1/models/{SAMPLE_ID}/start").raise_for_status()
    workers = workers_of(service)
    service.stop(signal.SIGINT)
    assert service.process.returncode == 0
    assert not [worker for worker in workers if worker.is_running()]


def test_asked_twice_it_stops_at_once_and_has_nothing_to_complain_of(start: Start) -> None:
    service = start("--sample")
    service.wait_model(SAMPLE_ID)
    body = {"model": SAMPLE_ID, "messages": HELLO, "max_tokens": 6000, "ignore_eos": True, "stream": True}
    with service.client.stream("POST", "/v1/chat/completions", json=body) as answer:
        next(answer.iter_lines())
        service.process.send_signal(signal.SIGINT)
        told = service.stop(signal.SIGTERM)  # of two alike, the kernel may deliver one
    assert service.process.returncode == 0
    assert "Traceback" not in told


def test_what_happened_while_it_was_down_is_found(start: Start, sample_model: Path) -> None:
    service = start()
    service.wait_ready()
    service.kill()
    shutil.copyfile(sample_model, service.root / "models" / "While Away.gguf")
    again = start()
    again.wait_model("while-away")
    assert again.get("/v1/models/while-away/history")["data"][0]["type"] == "file-dropped"


def test_delete_moves_the_folder_to_the_trash(start: Start) -> None:
    service = start("--sample")
    service.wait_model(SAMPLE_ID)
    with client_of(service) as client:
        client.chat.completions.create(model=SAMPLE_ID, messages=HELLO, max_tokens=2)
        deleted = client.models.delete(SAMPLE_ID)
    assert (deleted.id, deleted.object, deleted.deleted) == (SAMPLE_ID, "model", True)
    assert service.models() == {}
    (trashed,) = (service.root / ".janfs" / "trash").iterdir()
    assert sorted(file.name for file in trashed.iterdir()) == [
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "model.json",
    ]
    assert not (service.root / "models" / SAMPLE_ID).exists()


def test_a_pulled_folder_is_unavailable_and_comes_back(start: Start) -> None:
    service = start("--sample", "--hashing", "off")
    service.wait_model(SAMPLE_ID)
    away = service.root / "elsewhere"
    (service.root / "models").rename(away)
    service.wait(lambda: service.client.get("/readyz").status_code == 503, "readyz to say no")
    assert list(service.models()) == [SAMPLE_ID], "an absent disk is no mass deletion"
    away.rename(service.root / "models")
    service.wait_ready()
    types = [event["type"] for event in service.get("/v1/events")["data"]]
    assert types[-2:] == ["root-unavailable", "root-returned"]
    assert "file-removed" not in types
