"""Models as our APIs besides chat completions ask them, here or on another machine.

Those elsewhere are told in the words of chat completions, which every server knows.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from janfs.api.context import ApiContext
from janfs.api.generation import generated
from janfs.api.images import refuse_unseen
from janfs.api.sampling import GenerationFields
from janfs.engines.protocol import ChatPrompt, GenerateRequest, Reply, SamplingParams
from janfs.engines.remote.asking import CHAT
from janfs.engines.remote.model import RemoteModel
from janfs.engines.remote.replies import chat_of, replies
from janfs.errors import UnsupportedParameter
from janfs.remotes import find_remote
from janfs.serving import resolve

_ASSUMED = {"temperature": 1.0, "top_p": 1.0}  # elsewhere, where nothing is said: OpenAI's


class Answering(Protocol):
    def __call__(
        self, request_id: str, prompt: ChatPrompt, sampling: SamplingParams, fields: GenerationFields
    ) -> AsyncGenerator[Reply]:
        """What a model answers to a chat, measured on the way; `sampling` was made from `fields`."""
        ...


class ChatModel(Struct, frozen=True):
    """A model, and how it is asked.

    `defaults` hold where a request says nothing. `fingerprint` is known once there is an answer.
    """

    id: str
    defaults: Mapping[str, Any]
    fingerprint: Callable[[], str]
    answer: Answering


def chat_model(context: ApiContext, name: str) -> ChatModel:
    """The model with this id or alias. Raises `ModelNotFound`, or `ModelNotRunnable` with the reason."""
    snapshot = context.pipeline.snapshot
    elsewhere = find_remote(snapshot.catalogue, name)
    if elsewhere is not None:
        return _elsewhere(context, elsewhere)
    runnable = resolve(snapshot, context.settings.root, name)

    def answer(
        request_id: str,
        prompt: ChatPrompt,
        sampling: SamplingParams,
        fields: GenerationFields,  # noqa: ARG001 - for models elsewhere
    ) -> AsyncGenerator[Reply]:
        refuse_unseen(prompt, runnable.spec)
        request = GenerateRequest(request_id=request_id, prompt=prompt, sampling=sampling)
        return generated(context, runnable.spec.model_id, request)

    fingerprint = context.fingerprint_of(runnable.spec)
    return ChatModel(runnable.spec.model_id, runnable.model_parameters, fingerprint, answer)


def _elsewhere(context: ApiContext, model: RemoteModel) -> ChatModel:
    def answer(
        request_id: str,  # noqa: ARG001 - theirs have names of their own
        prompt: ChatPrompt,
        sampling: SamplingParams,
        fields: GenerationFields,
    ) -> AsyncGenerator[Reply]:
        if sampling.logprobs is not None:
            raise UnsupportedParameter(
                "Of a model on another machine, logprobs are told by chat completions only.", param="include"
            )
        body = {**_given(msgspec.to_builtins(fields)), **chat_of(prompt), "stream": True}
        theirs = replies(context.remotes.answer(model, CHAT, body, translated=True), sampling.stop)
        return context.metrics.generation(model.id, theirs)

    return ChatModel(model.id, {**_ASSUMED, **model.defaults}, lambda: model.system_fingerprint, answer)


def _given(fields: Any) -> Any:
    """What a request says, without what it leaves out."""
    if not isinstance(fields, dict):
        return fields
    return {name: _given(value) for name, value in fields.items() if value is not None}
