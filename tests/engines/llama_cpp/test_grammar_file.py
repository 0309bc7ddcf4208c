"""The grammar that lies in a model's folder."""

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from janfs.engines.llama_cpp.client import LlamaCppEngine, start_worker
from janfs.engines.llama_cpp.grammar_file import read_grammar
from janfs.engines.protocol import (
    EngineSettings,
    GenerateRequest,
    RunSpec,
    SamplingParams,
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
    assert read_grammar(tmp_path, "form.gbnf", Anything()) == 'root ::= "ü"'


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
