"""/v1/rerank: how well texts answer a question, in the shape that Jina's and llama.cpp's servers have."""

from typing import Any, Literal

from litestar import Request, post
from litestar.params import RawBody
from litestar.types import ASGIApp
from msgspec import UNSET, Struct, UnsetType

from janfs.api.context import Context
from janfs.api.embeddings import MAX_INPUTS
from janfs.api.errors import decode_body
from janfs.api.leaving import answer_unless_gone
from janfs.api.relay import relay, remote_of
from janfs.api.vectors import InputUsage, embedded, numbers_of, usage_of
from janfs.engines.protocol import PairPrompt
from janfs.engines.remote.asking import RERANK
from janfs.errors import InvalidInput
from janfs.serving import resolve

_MOST_ASKED = 32 * 1024 * 1024  # bytes of the query, which the engine is told once for each text


class Document(Struct, frozen=True, forbid_unknown_fields=True):
    """A text."""

    text: str


class RerankRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question, and the texts to be ranked, of which the best `top_n` are told, or all."""

    model: str
    query: str
    documents: list[str | Document]
    top_n: int | None = None
    return_documents: bool | None = None
    user: Any = None


class Ranked(Struct, frozen=True):
    """A text's place in the request, and its score as the model gives it: higher is better."""

    index: int
    relevance_score: float
    document: Document | UnsetType = UNSET


class RerankAnswer(Struct, frozen=True):
    """The best texts, the best one first."""

    results: list[Ranked]
    model: str
    usage: InputUsage
    object: Literal["list"] = "list"


@post(["/v1/rerank", "/v1/reranking", "/rerank", "/reranking"], status_code=200)
async def rerank(request: Request[Any, Any, Any], context: Context, body: RawBody) -> ASGIApp:
    """The texts that answer a question best. Loads the model if need be."""
    elsewhere = remote_of(context, body)
    if elsewhere is not None:
        return await relay(request, context, elsewhere, RERANK, body)
    asked = decode_body(body, RerankRequest)
    texts = [each if isinstance(each, str) else each.text for each in asked.documents]
    if not 1 <= len(texts) <= MAX_INPUTS:
        raise InvalidInput(
            f"'documents' must have 1 to {MAX_INPUTS} entries, not {len(texts)}.", param="documents"
        )
    if len(asked.query.encode()) * len(texts) > _MOST_ASKED:
        most = _MOST_ASKED // len(texts)
        raise InvalidInput(
            f"'query' may have {most:,} bytes with {len(texts)} documents: it is read with each.",
            param="query",
        )
    if asked.top_n is not None and asked.top_n < 1:
        raise InvalidInput(f"'top_n' must be at least 1, not {asked.top_n}.", param="top_n")
    model_id = resolve(context.pipeline.snapshot, context.settings.root, asked.model).spec.model_id
    pairs = tuple(PairPrompt(asked.query, text) for text in texts)

    async def ranked() -> RerankAnswer:
        found = await embedded(context, model_id, pairs)
        scores = [float(numbers_of(each)[0]) for each in found]
        best = sorted(range(len(texts)), key=lambda number: -scores[number])[: asked.top_n]
        shown = [Document(texts[each]) if asked.return_documents else UNSET for each in best]
        results = [Ranked(each, scores[each], text) for each, text in zip(best, shown, strict=True)]
        return RerankAnswer(results, model_id, usage_of(found))

    return await answer_unless_gone(request, ranked())
