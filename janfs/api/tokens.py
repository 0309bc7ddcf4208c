"""Texts as tokens, tokens as texts, and chats as texts, as llama.cpp's server spells them."""

from typing import Any

from litestar import Request, post
from litestar.params import RawBody
from litestar.types import ASGIApp
from msgspec import UNSET, Struct, UnsetType

from janfs.api.chat_request import ChatRequest, prompt_of
from janfs.api.context import ApiContext, Context
from janfs.api.errors import decode_body
from janfs.api.images import refuse_unseen
from janfs.api.leaving import answer_unless_gone
from janfs.api.prompts import TokenId
from janfs.api.relay import relay_if_there, remote_of
from janfs.engines.protocol import PlainText, RunSpec
from janfs.engines.remote.asking import APPLY_TEMPLATE, DETOKENIZE, TOKENIZE
from janfs.serving import resolve


class TokenizeRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text. `add_special` puts a beginning and an end around it, `parse_special` reads such in it."""

    model: str
    content: str
    add_special: bool | None = None
    parse_special: bool | None = None
    with_pieces: bool | None = None


class TokenPiece(Struct, frozen=True):
    """A token and what it stands for: a text, or bytes where these are no whole characters."""

    id: int
    piece: str | list[int]


class Tokenized(Struct, frozen=True):
    """The tokens of a text."""

    tokens: list[int | TokenPiece]


class DetokenizeRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tokens."""

    model: str
    tokens: list[TokenId]


class Detokenized(Struct, frozen=True):
    """The text of tokens. Where they end within a character it is not all, and `bytes` are there too."""

    content: str
    bytes: list[int] | UnsetType = UNSET


class AppliedTemplate(Struct, frozen=True):
    """A chat as the model reads it."""

    prompt: str


@post(["/v1/tokenize", "/tokenize"], status_code=200)
async def tokenize(request: Request[Any, Any, Any], context: Context, body: RawBody) -> ASGIApp:
    """The tokens of a text. Loads the model if need be."""
    elsewhere = remote_of(context, body)
    if elsewhere is not None:
        return await relay_if_there(request, context, elsewhere, TOKENIZE, body)
    asked = decode_body(body, TokenizeRequest)
    text = PlainText(asked.content, asked.add_special is True, asked.parse_special is not False)
    model_id = _spec(context, asked.model).model_id

    async def told() -> Tokenized:
        async with context.pool.engine(model_id) as engine:
            tokens = await engine.tokenize(text)
            if not asked.with_pieces:
                return Tokenized(list(tokens))
            pieces = await engine.pieces(tokens)
        spelled = zip(tokens, map(_piece, pieces), strict=True)
        return Tokenized([TokenPiece(*each) for each in spelled])

    return await answer_unless_gone(request, told())


@post(["/v1/detokenize", "/detokenize"], status_code=200)
async def detokenize(request: Request[Any, Any, Any], context: Context, body: RawBody) -> ASGIApp:
    """The text of tokens, special ones spelled out. Loads the model if need be."""
    elsewhere = remote_of(context, body)
    if elsewhere is not None:
        return await relay_if_there(request, context, elsewhere, DETOKENIZE, body)
    asked = decode_body(body, DetokenizeRequest)
    model_id = _spec(context, asked.model).model_id

    async def told() -> Detokenized:
        async with context.pool.engine(model_id) as engine:
            data = b"".join(await engine.pieces(tuple(asked.tokens)))
        whole = _piece(data)
        if isinstance(whole, str):
            return Detokenized(whole)
        return Detokenized(data.decode("utf-8", "replace"), whole)

    return await answer_unless_gone(request, told())


@post(["/v1/apply-template", "/apply-template"], status_code=200)
async def apply_template(request: Request[Any, Any, Any], context: Context, body: RawBody) -> ASGIApp:
    """What the model reads of a chat, with its tools, in its own template. Loads the model if need be."""
    elsewhere = remote_of(context, body)
    if elsewhere is not None:
        return await relay_if_there(request, context, elsewhere, APPLY_TEMPLATE, body)
    asked = decode_body(body, ChatRequest)
    prompt = prompt_of(asked)
    spec = _spec(context, asked.model)
    refuse_unseen(prompt, spec)

    async def told() -> AppliedTemplate:
        async with context.pool.engine(spec.model_id) as engine:
            return AppliedTemplate(await engine.apply_template(prompt))

    return await answer_unless_gone(request, told())


def _spec(context: ApiContext, name: str) -> RunSpec:
    return resolve(context.pipeline.snapshot, context.settings.root, name).spec


def _piece(data: bytes) -> str | list[Any]:
    """Text, or the values of the bytes where they are no UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return list(data)
