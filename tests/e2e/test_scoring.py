"""Text completions as evaluations use them: which ending is the likelier one."""

from collections.abc import Callable

import openai
import pytest

from tests.e2e.conftest import SAMPLE_ID
from tests.support.service import ServiceProcess

pytestmark = pytest.mark.model
QUESTION = "The capital of France is"
ENDINGS = (" Paris", " banana")


def test_the_likelier_ending_is_found_by_the_batch_with_texts_and_with_tokens(
    start: Callable[..., ServiceProcess],
) -> None:
    service = start("--sample")
    service.wait_model(SAMPLE_ID)

    def tokens(text: str) -> list[int]:
        body = {"model": SAMPLE_ID, "content": text}
        found: list[int] = service.client.post("/tokenize", json=body).raise_for_status().json()["tokens"]
        return found

    texts = [QUESTION + ending for ending in ENDINGS]
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0) as client:
        for prompt in (texts, list(map(tokens, texts))):
            answer = client.completions.create(
                model=SAMPLE_ID, prompt=prompt, echo=True, logprobs=1, max_tokens=0, temperature=0
            )
            assert [choice.text for choice in answer.choices] == texts
            sums = []
            for choice, text in zip(answer.choices, texts, strict=True):
                logprobs = choice.logprobs
                assert logprobs is not None
                assert "".join(logprobs.tokens or ()) == text
                ends = [at for at, offset in enumerate(logprobs.text_offset or ()) if offset >= len(QUESTION)]
                sums.append(sum((logprobs.token_logprobs or [])[at] for at in ends))
            assert sums[0] > sums[1] + 2, f"the likelier of {ENDINGS} is not known by {sums}"
            assert answer.usage is not None
            assert answer.usage.prompt_tokens == sum(len(tokens(text)) for text in texts)
            assert answer.usage.completion_tokens == 0
        written = client.completions.create(
            model=SAMPLE_ID, prompt=[QUESTION, "1, 2, 3, 4,"], max_tokens=4, temperature=0, n=2, seed=1
        )
        assert [choice.index for choice in written.choices] == [0, 1, 2, 3]
        assert "Paris" in written.choices[0].text
        assert "5" in written.choices[3].text
