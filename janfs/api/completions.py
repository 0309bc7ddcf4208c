"""/v1/completions: a raw prompt, continued."""

import time
import uuid
from collections.abc import Mapping
from typing import Any, Literal

from litestar import Request, post
from litestar.params import RawBody
from litestar.types import ASGIApp
from msgspec import UNSET, Struct, UnsetType

from janfs.api.context import Context
from janfs.api.errors import decode_body
from janfs.api.generation import Usage, answer, generated
from janfs.api.sampling import GenerationFields, refuse_unsupported, sampling_of, wants_usage
from janfs.engines.protocol import FinishReason, GenerateRequest, TextPrompt, TokenPrompt
from janfs.errors import InvalidInput, UnsupportedParameter
from janfs.serving import resolve

_MAX_TOKEN = 2**31 - 1


class CompletionRequest(GenerationFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to continue a prompt: a text, a list of one text, or a list of token ids."""

    prompt: str | list[str | int]

    best_of: Any = None
    echo: Any = None
    suffix: Any = None


_NOT_YET: Mapping[str, tuple[Any, ...]] = {"best_of": (1,), "echo": (False,), "suffix": ("",), "logprobs": ()}


class TextChoice(Struct, frozen=True):
    """The one answer, or its next piece."""

    text: str
    finish_reason: FinishReason | None = None
    index: int = 0
    logprobs: None = None


class Completion(Struct, frozen=True, kw_only=True):
    """A whole answer, or a message of a stream. `created` is in seconds since 1970."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[TextChoice]
    usage: Usage | UnsetType | None = UNSET


class CompletionFormat(Struct, frozen=True, kw_only=True):
    """See `janfs.api.generation.Format`."""

    id: str
    created: int
    model: str
    system_fingerprint: str
    include_usage: bool = False

    def whole(self, text: str, finish_reason: FinishReason, usage: Usage) -> Completion:
        return self._completion([TextChoice(text, finish_reason)], usage)

    def opening(self) -> None:
        return None

    def piece(self, text: str) -> Completion:
        return self._chunk([TextChoice(text)])

    def closing(self, finish_reason: FinishReason) -> Completion:
        return self._chunk([TextChoice("", finish_reason)])

    def usage(self, usage: Usage) -> Completion | None:
        return self._chunk([], usage) if self.include_usage else None

    def _chunk(self, choices: list[TextChoice], usage: Usage | None = None) -> Completion:
        return self._completion(choices, usage if self.include_usage else UNSET)

    def _completion(self, choices: list[TextChoice], usage: Usage | UnsetType | None) -> Completion:
        return Completion(
            id=self.id,
            created=self.created,
            model=self.model,
            system_fingerprint=self.system_fingerprint,
            choices=choices,
            usage=usage,
        )


@post("/v1/completions", status_code=200)
async def create_completion(request: Request[Any, Any, Any], context: Context, body: RawBody) -> ASGIApp:
    """The continuation of a prompt, whole or as a stream of server-sent events."""
    asked = decode_body(body, CompletionRequest)
    prompt = prompt_of(asked)
    include_usage = wants_usage(asked)
    runnable = resolve(context.pipeline.snapshot, context.settings.root, asked.model)
    sampling = sampling_of(asked, runnable.model_parameters)
    format_ = CompletionFormat(
        id=f"cmpl-{uuid.uuid4().hex}",
        created=int(time.time()),
        model=runnable.spec.model_id,
        system_fingerprint=f"fp_{runnable.spec.fingerprint}",
        include_usage=include_usage,
    )
    generate = GenerateRequest(request_id=format_.id, prompt=prompt, sampling=sampling)
    replies = generated(context, runnable.spec.model_id, generate)
    return await answer(request, replies, format_, stream=bool(asked.stream))


def prompt_of(asked: CompletionRequest) -> TextPrompt | TokenPrompt:
    """The prompt for the engine. Raises `InvalidInput` or `UnsupportedParameter`."""
    refuse_unsupported(asked, _NOT_YET)
    if isinstance(asked.prompt, str):
        return TextPrompt(asked.prompt)
    texts = [item for item in asked.prompt if isinstance(item, str)]
    tokens = [item for item in asked.prompt if isinstance(item, int)]
    if texts and tokens:
        raise InvalidInput("'prompt' mixes texts and token ids.", param="prompt")
    if len(texts) > 1:
        raise UnsupportedParameter("Several prompts in one request are not supported yet.", param="prompt")
    if texts:
        return TextPrompt(texts[0])
    if not tokens:
        raise InvalidInput("'prompt' is an empty list.", param="prompt")
    if not all(0 <= token <= _MAX_TOKEN for token in tokens):
        raise InvalidInput(f"Token ids must be from 0 to {_MAX_TOKEN}.", param="prompt")
    return TokenPrompt(tuple(tokens))
