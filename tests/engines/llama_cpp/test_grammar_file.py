"""The grammar that lies in a model's folder."""

import asyncio
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from janfs.engines.fingerprint import fingerprint
from janfs.engines.llama_cpp.client import LlamaCppEngine, start_worker
from janfs.engines.llama_cpp.grammar_file import read_grammar
from janfs.engines.pool import EnginePool
from janfs.engines.protocol import (
    EngineFact,
    EngineSettings,
    EngineStarted,
    GenerateRequest,
    RunSpec,
    SamplingParams,
    SpecPart,
    TextDelta,
    TextPrompt,
)
from janfs.errors import InvalidInput, LoadFailed

YES = 'root ::= "yes"'


class Anything:
    def check(self, params: SamplingParams) -> None:
        if params.grammar == "nonsense":
            raise InvalidInput("No.", param="grammar")


def test_a_file_of_the_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "form.gbnf").write_text('root ::= "ü"', encoding="utf-8")
    found = read_grammar(tmp_path, "form.gbnf", Anything())
    assert found.text == 'root ::= "ü"'
    assert (found.file.path, found.file.size) == ("form.gbnf", len(found.text.encode()))
    assert found.file.sha256 == hashlib.sha256(found.text.encode()).hexdigest()


def test_what_cannot_be_used_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text(YES)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    (tmp_path / "nonsense").write_text("nonsense")
    reasons = {
        "link": "it is a link",
        "folder": "Is a directory",
        "pipe": "is no file",
        "bytes": "UTF-8",
        "nonsense": "cannot be used: No.",
        "missing": "No such file",
    }
    for name, reason in reasons.items():
        with pytest.raises(LoadFailed, match=reason) as caught:
            read_grammar(tmp_path, name, Anything())
        assert f"grammar_file {name}" in caught.value.detail


@pytest.mark.parametrize("name", ["../form", "/etc/passwd", "a/b", "..", ".", "", "x" * 256, "a\0b", "a\\b"])
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="grammar_file"):
        EngineSettings(grammar_file=name)


def test_what_is_loaded_is_named_with_the_grammar_that_it_was_loaded_with(
    tiny_model: Path, tmp_path: Path
) -> None:
    model, form = tmp_path / "tiny.gguf", tmp_path / "50%.gbnf"
    shutil.copyfile(tiny_model, model)
    part = SpecPart("models/tiny/tiny.gguf", 1, 2, 3, "header")
    settings = EngineSettings(ctx_len=256, n_parallel=1, cpu_threads=1, grammar_file=form.name)
    named = fingerprint([part], "llama-cpp", settings)
    spec = RunSpec(
        model_id="tiny",
        uid="uid",
        engine="llama-cpp",
        path=str(model),
        settings=settings,
        fingerprint=named,
        parts=(part,),
    )

    async def load(text: str) -> tuple[RunSpec, str | None]:
        """The spec that was recorded, and the fingerprint that answers have."""
        form.write_text(text)
        os.utime(form, (1, 1))
        facts: list[EngineFact] = []

        async def record(fact: EngineFact) -> None:
            facts.append(fact)

        pool = EnginePool(lambda _: spec, record, {"llama-cpp": start_worker})
        await pool.start("tiny")
        state = pool.state("uid")
        assert state.wanted == named, "a model is found loaded by what is wanted"
        await pool.close(0)
        assert isinstance(facts[0], EngineStarted)
        return facts[0].spec, state.fingerprint

    one, answered = asyncio.run(load(YES))
    other, _ = asyncio.run(load('root ::= "nay"'))
    again, _ = asyncio.run(load(YES))
    assert len({named, one.fingerprint, other.fingerprint}) == 3
    assert one == again
    assert answered == one.fingerprint
    assert [each.path for each in one.parts] == [part.path, "models/tiny/50%25.gbnf"]
    assert one.parts[1].sha256 == hashlib.sha256(YES.encode()).hexdigest()


@pytest.mark.model
def test_answers_without_a_form_of_their_own_are_bound_by_it(
    sample_spec: Callable[..., RunSpec], sample_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "form.gbnf").write_text(YES)
    model = tmp_path / sample_model.name
    try:
        os.link(sample_model, model)
    except OSError:
        shutil.copyfile(sample_model, model)
    spec = replace(sample_spec(grammar_file="form.gbnf"), path=str(model))

    async def answer(engine: LlamaCppEngine, sampling: SamplingParams) -> str:
        request = GenerateRequest(request_id="g", prompt=TextPrompt("Is it?"), sampling=sampling)
        return "".join(
            [reply.text async for reply in engine.generate(request) if isinstance(reply, TextDelta)]
        )

    async def scenario() -> None:
        engine = await start_worker(spec)
        greedy = SamplingParams(temperature=0, max_tokens=8)
        assert await answer(engine, greedy) == "yes"
        assert await answer(engine, replace(greedy, grammar='root ::= "no"')) == "no"
        with pytest.raises(InvalidInput, match="ignore_eos"):
            await answer(engine, replace(greedy, ignore_eos=True))
        await engine.close(0, "the test is over")
        (tmp_path / "form.gbnf").write_text("root ::= (")
        with pytest.raises(LoadFailed, match=r"grammar_file form\.gbnf cannot be used"):
            await start_worker(spec)

    asyncio.run(scenario())
