"""Images for every kind of model, beside llama.cpp's own way: one prompt at a time, in a new context."""

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import llama_cpp as llama
import numpy as np
import pytest
from llama_cpp import mtmd_cpp as mtmd
from msgspec.structs import replace

from janfs.engines.llama_cpp.log import Log
from janfs.engines.llama_cpp.native import NativeModel
from janfs.engines.llama_cpp.parameters import context_params
from janfs.engines.llama_cpp.pictures import Read
from janfs.engines.llama_cpp.projector import Projector
from janfs.engines.llama_cpp.scheduler import Scheduler
from janfs.engines.llama_cpp.weights import Weights
from janfs.engines.protocol import EngineSettings, Finished, Image, SamplingParams, TextDelta
from janfs.errors import InvalidInput, JanfsError
from tests.engines.tiny_model import (
    write_tiny_model,
    write_tiny_model_with_a_window,
    write_tiny_model_with_mrope,
)
from tests.engines.tiny_projector import (
    WIDE_ROWS,
    noise,
    write_tiny_deepseek_projector,
    write_tiny_gemma_projector,
    write_tiny_hunyuan_projector,
    write_tiny_projector,
    write_tiny_qwen_projector,
)

SETTINGS = EngineSettings(
    ctx_len=512, n_parallel=3, n_batch=64, cpu_threads=1, cache_type="f32", flash_attn="off"
)
N_ANSWER = 10
WIDE, HIGH, OTHER = noise(1, 140, 56), noise(2, 56, 140), noise(3, 112, 112)
IMAGES = {"wide": WIDE, "high": HIGH, "other": OTHER}
Chat = Sequence[str | bytes]  # words and images
KINDS = [
    "plain",
    "two dimensions",
    "two dimensions and deep",
    "two dimensions and lines",
    "at once",
    "at once and aligned",
]


class Files(NamedTuple):
    model: Path
    projector: Path
    log: Log


@pytest.fixture(scope="module", params=KINDS)
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, log: Log) -> Files:
    folder = tmp_path_factory.mktemp("seeing")
    model, projector = folder / "model.gguf", folder / "mmproj.gguf"
    match request.param:
        case "plain":
            return Files(write_tiny_model(model), write_tiny_projector(projector), log)
        case "two dimensions":
            return Files(write_tiny_model_with_mrope(model), write_tiny_qwen_projector(projector), log)
        case "two dimensions and deep":
            write_tiny_model_with_mrope(model, architecture="qwen3vl")
            return Files(model, write_tiny_qwen_projector(projector, deep=True), log)
        case "two dimensions and lines":
            return Files(write_tiny_model_with_mrope(model), write_tiny_hunyuan_projector(projector), log)
        case "at once and aligned":
            return Files(write_tiny_model(model), write_tiny_deepseek_projector(projector), log)
        case _:
            return Files(write_tiny_model_with_a_window(model), write_tiny_gemma_projector(projector), log)


class Answer(NamedTuple):
    """The tokens of an answer, how likely each was, and how many of the prompt's were known."""

    tokens: list[int]
    logprobs: list[float]
    n_cached: int = 0


class Seeing:
    """A model with its projector, as a worker runs them."""

    def __init__(self, files: Files, settings: EngineSettings = SETTINGS) -> None:
        self.weights = Weights(os.fsencode(files.model), settings, files.log)
        self.model = NativeModel(self.weights, settings, 1, files.log)
        path, at_once = os.fsencode(files.projector), self.model.n_at_once
        self.projector = Projector(path, self.weights, files.log, threads=1, gpu=False, at_once=at_once)
        self.scheduler = Scheduler(self.model, n_parallel=settings.n_parallel)
        self.heard: dict[str, list[Any]] = {}

    def read(self, chat: Chat) -> Read:
        images = [Image(0, each, f"part {at}") for at, each in enumerate(chat) if isinstance(each, bytes)]
        text = "".join(each if isinstance(each, str) else self.projector.marker for each in chat)
        if images:
            return self.projector.read(text, images, [self.weights.bos])
        return Read([self.weights.bos, *self.weights.tokenize(text)], ())

    def ask(self, name: str, chat: Chat) -> None:
        """Begin an answer."""
        sampling = SamplingParams(temperature=0, max_tokens=N_ANSWER, logprobs=0, ignore_eos=True)
        read = self.read(chat)
        self.scheduler.submit(name, read.tokens, sampling, (), pictures=read.pictures)
        self.heard[name] = []

    def step(self) -> None:
        for name, reply in self.scheduler.step():
            assert not isinstance(reply, JanfsError), f"{name}: {reply}"
            self.heard[name].append(reply)

    def finish(self, name: str) -> Answer:
        """The answer, when all are given."""
        while not self.scheduler.idle:
            self.step()
        replies = self.heard[name]
        end = replies[-1]
        assert isinstance(end, Finished)
        told = [
            each for reply in replies if isinstance(reply, TextDelta | Finished) for each in reply.logprobs
        ]
        cached = end.usage.cached_tokens
        return Answer([each.token for each in told], [each.logprob for each in told], cached)

    def answer(self, chat: Chat) -> Answer:
        self.ask("alone", chat)
        return self.finish("alone")


class Oracle:
    """llama.cpp's own helper for prompts with images, then one token after the other."""

    def __init__(self, files: Files) -> None:
        weights = Weights(os.fsencode(files.model), SETTINGS, files.log)
        self._begins, self._n_vocab = weights.special_text(weights.bos), weights.n_vocab
        self._ctx = llama.llama_init_from_model(weights.handle, context_params(SETTINGS, 1))
        params = mtmd.mtmd_context_params_default()
        params.use_gpu = params.print_timings = params.warmup = False
        params.n_threads = 1
        self._mtmd = mtmd.mtmd_init_from_file(os.fsencode(files.projector), weights.handle, params)
        assert self._mtmd, files.log.reason()

    def answer(self, chat: Chat) -> Answer:
        llama.llama_memory_clear(llama.llama_get_memory(self._ctx), True)
        position, tokens, logprobs = self._prompt(chat), list[int](), list[float]()
        while len(tokens) < N_ANSWER:
            pointer = llama.llama_get_logits_ith(self._ctx, -1)
            logits = np.ctypeslib.as_array(pointer, (self._n_vocab,)).astype(np.float64)
            chances = logits - np.log(np.exp(logits).sum())
            chances[2] = -np.inf  # the end of an answer, which is ignored
            tokens.append(int(chances.argmax()))
            logprobs.append(float(chances[tokens[-1]]))
            last, at = (llama.llama_token * 1)(tokens[-1]), (llama.llama_pos * 1)(position)
            batch = llama.llama_batch_get_one(last, 1)
            batch.pos = at
            assert llama.llama_decode(self._ctx, batch) == 0
            position += 1
        return Answer(tokens, logprobs)

    def _prompt(self, chat: Chat) -> int:
        """Compute a prompt; the position behind it."""
        marker = mtmd.mtmd_default_marker().decode()
        # A token that llama.cpp adds by itself is not counted where an image is padded by its place.
        spelled = (self._begins, *(each if isinstance(each, str) else marker for each in chat))
        text = "".join(spelled).encode()
        bitmaps = [
            mtmd.mtmd_helper_bitmap_init_from_buf(
                self._mtmd, (ctypes.c_uint8 * len(each)).from_buffer_copy(each), len(each), False
            )
            for each in chat
            if isinstance(each, bytes)
        ]
        chunks, given = mtmd.mtmd_input_chunks_init(), mtmd.mtmd_input_text(text, len(text), False, True)
        together = (ctypes.c_void_p * len(bitmaps))(*bitmaps)
        assert mtmd.mtmd_tokenize(self._mtmd, chunks, ctypes.byref(given), together, len(bitmaps)) == 0
        end = llama.llama_pos(0)
        status = mtmd.mtmd_helper_eval_chunks(
            self._mtmd, self._ctx, chunks, 0, 0, SETTINGS.n_batch, True, ctypes.byref(end)
        )
        assert status == 0
        mtmd.mtmd_input_chunks_free(chunks)
        for bitmap in bitmaps:
            mtmd.mtmd_bitmap_free(bitmap)
        return end.value


@pytest.fixture(scope="module")
def oracle(files: Files) -> Oracle:
    return Oracle(files)


@pytest.fixture
def seeing(files: Files) -> Seeing:
    return Seeing(files)


def check(answer: Answer, expected: Answer, why: str) -> None:
    assert answer.tokens == expected.tokens, why
    assert answer.logprobs == pytest.approx(expected.logprobs, abs=1e-3), why


CHATS: dict[str, Chat] = {
    "one": ["look at ", WIDE, " and tell"],
    "first of all": [HIGH, " what"],
    "three": ["a ", WIDE, " b ", HIGH, " c ", OTHER, " d"],
    "twice the same": ["a ", WIDE, " b ", WIDE, " d"],
    "side by side": ["see ", WIDE, HIGH, " now"],
    "words": ["no image at all"],
}


def test_every_prompt_is_answered_as_llama_cpp_does_alone_and_again(seeing: Seeing, oracle: Oracle) -> None:
    seen = set()
    for name, chat in CHATS.items():
        expected = oracle.answer(chat)
        check(seeing.answer(chat), expected, name)
        again = seeing.answer(chat)
        check(again, expected, f"{name}, from the cache")
        assert again.n_cached == len(seeing.read(chat).tokens) - 1, f"{name} was not shared"
        seen.add(tuple(expected.tokens))
    assert len(seen) == len(CHATS), "the model answers two chats alike, so this test shows little"


def test_a_second_question_about_an_image_begins_behind_it(seeing: Seeing, oracle: Oracle) -> None:
    for beginning in (CHATS["one"][:2], CHATS["three"][:4]):
        seeing.answer([*beginning, " what is it?"])
        known = len(seeing.read([*beginning, "."]).tokens) - 1
        for question in ("Who?", "and where is that?"):
            answer = seeing.answer([*beginning, question])
            check(answer, oracle.answer([*beginning, question]), question)
            assert answer.n_cached >= known, "the image was computed again"


def test_images_beside_others_change_nobodys_answer(seeing: Seeing, oracle: Oracle) -> None:
    asked = {f"{name} {number}": chat for number in range(2) for name, chat in CHATS.items()}
    for number, (name, chat) in enumerate(asked.items()):
        seeing.ask(name, chat)
        for _ in range(number % 4):
            seeing.step()
    for name, chat in asked.items():
        check(seeing.finish(name), oracle.answer(chat), f"{name}, in company")


def test_a_chat_goes_on_with_more_images(seeing: Seeing, oracle: Oracle) -> None:
    chat: list[str | bytes] = []
    for number in range(5):
        chat += [f" {number}: ", list(IMAGES.values())[number % 3], " what is this?"]
        before = seeing.answer(chat)
        check(before, oracle.answer(chat), f"turn {number}")
        if number:
            assert before.n_cached > 0
        chat.append(seeing.weights.piece(before.tokens[0]).decode("utf-8", "replace"))


def test_what_was_given_up_cut_or_copied_comes_back_right(files: Files, oracle: Oracle) -> None:
    random, names = np.random.default_rng(5), list(IMAGES)
    seeing = Seeing(files, replace(SETTINGS, ctx_len=320, n_parallel=2))
    cached = 0
    for turn in range(24):
        chat: list[str | bytes] = ["the same beginning of every chat, long enough to be worth a copy: "]
        for place in range(int(random.integers(1, 4))):
            chat += [IMAGES[names[int(random.integers(0, 3))]], f" {place} "]
        name = f"turn {turn}"
        seeing.ask(name, chat)
        if turn % 5 == 4:  # somebody leaves while it looks at an image
            seeing.ask("leaves", ["gone ", OTHER, HIGH, " before it ends"])
            for _ in range(turn % 4):
                seeing.step()
            seeing.scheduler.cancel("leaves")
        answer = seeing.finish(name)
        check(answer, oracle.answer(chat), name)
        cached += answer.n_cached
    assert cached > 240, "hardly anything was shared, so this test shows little"


def test_an_image_in_pieces_is_seen_as_in_one(files: Files, oracle: Oracle) -> None:
    seeing = Seeing(files)
    read = seeing.read(CHATS["three"])
    most = max(len(each.rows) for each in read.pictures)
    n_batch = most if read.pictures[0].at_once else 7
    seeing = Seeing(files, replace(SETTINGS, n_batch=n_batch))
    for name in ("one", "three", "side by side"):
        check(seeing.answer(CHATS[name]), oracle.answer(CHATS[name]), f"{name} by {n_batch}")


def test_an_image_that_must_be_seen_at_once_is_refused_by_name_where_it_cannot(
    tmp_path: Path, log: Log
) -> None:
    model = write_tiny_model_with_a_window(tmp_path / "model.gguf")
    files = Files(model, write_tiny_gemma_projector(tmp_path / "mmproj.gguf"), log)
    seeing = Seeing(files, replace(SETTINGS, n_batch=WIDE_ROWS - 1))
    with pytest.raises(InvalidInput, match=f"the {WIDE_ROWS} tokens of 'part 3'") as caught:
        seeing.read(["words ", "more ", "and ", WIDE, " words"])
    assert caught.value.param == "part 3"
    assert len(seeing.answer(["but words"]).tokens) == N_ANSWER
