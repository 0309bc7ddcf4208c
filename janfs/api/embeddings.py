"""/v1/embeddings: texts as vectors."""

import base64
from typing import Annotated, Any, Literal

from litestar import Request, post
from litestar.params import RawBody
from litestar.types import ASGIApp
from msgspec import Meta, Struct

from janfs.api.context import Context
from janfs.api.errors import decode_body
from janfs.api.leaving import answer_unless_gone
from janfs.api.prompts import Given, is_one, prompts_of
from janfs.api.relay import relay, remote_of
from janfs.api.vectors import InputUsage, Vector, embedded, normalised, numbers_of, shortened, usage_of
from janfs.engines.remote.asking import EMBEDDINGS
from janfs.errors import InvalidInput
from janfs.serving import resolve

MAX_INPUTS = 2048  # of one request, as at OpenAI's


class EmbeddingsRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text, a list of texts, the tokens of one, or a list of the tokens of several.

    The vectors have a length of 1, unless llama.cpp's `embd_normalize` asks for another norm.
    """

    model: str
    input: Given
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None
    embd_normalize: Annotated[int, Meta(ge=-1, le=64)] | None = None
    user: Any = None


class EmbeddingView(Struct, frozen=True):
    """A vector: numbers, or the base64 of them as 32-bit floats, little-endian."""

    index: int
    embedding: list[float] | str
    object: Literal["embedding"] = "embedding"


class EmbeddingList(Struct, frozen=True):
    """The vectors of all inputs, in their order."""

    data: list[EmbeddingView]
    model: str
    usage: InputUsage
    object: Literal["list"] = "list"


@post("/v1/embeddings", status_code=200)
async def create_embeddings(request: Request[Any, Any, Any], context: Context, body: RawBody) -> ASGIApp:
    """A vector for each input. Loads the model if need be."""
    elsewhere = remote_of(context, body)
    if elsewhere is not None:
        return await relay(request, context, elsewhere, EMBEDDINGS, body)
    asked = decode_body(body, EmbeddingsRequest)
    inputs = tuple(prompts_of(asked.input, "input", MAX_INPUTS))
    model_id = resolve(context.pipeline.snapshot, context.settings.root, asked.model).spec.model_id

    async def made() -> EmbeddingList:
        try:
            found = await embedded(context, model_id, inputs)
        except InvalidInput as error:
            if error.param == "input[0]" and is_one(asked.input):
                error.param = "input"
            raise
        norm = 2 if asked.embd_normalize is None else asked.embd_normalize
        vectors = [normalised(shortened(numbers_of(each), asked.dimensions), norm) for each in found]
        data = [EmbeddingView(number, _written(vector, asked)) for number, vector in enumerate(vectors)]
        return EmbeddingList(data, model_id, usage_of(found))

    return await answer_unless_gone(request, made())


def _written(vector: Vector, asked: EmbeddingsRequest) -> list[float] | str:
    if asked.encoding_format == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    numbers: list[float] = vector.tolist()
    return numbers
