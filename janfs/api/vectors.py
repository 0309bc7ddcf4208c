"""Vectors of texts: having them made, and what is told of them. All but the first is pure."""

from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct

from janfs.api.context import ApiContext
from janfs.engines.protocol import Embeddable, Embedding
from janfs.errors import EngineError, InvalidInput

if TYPE_CHECKING:
    import numpy as np

# numpy takes a tenth of a second to import, and most services make no vectors.
Vector: TypeAlias = "np.ndarray[Any, np.dtype[np.float32]]"
_HIGHEST = 32760  # what llama.cpp scales the largest number to, for 16-bit integers


class InputUsage(Struct, frozen=True):
    """OpenAI's count of tokens, where there is nothing but a prompt."""

    prompt_tokens: int
    total_tokens: int


async def embedded(
    context: ApiContext, model_id: str, inputs: tuple[Embeddable, ...]
) -> tuple[Embedding, ...]:
    """What the model makes of the inputs, counted. Loads the model if need be."""

    async def made() -> tuple[Embedding, ...]:
        async with context.pool.engine(model_id) as engine:
            return await engine.embed(inputs)

    return await context.metrics.embedding(model_id, made())


def usage_of(embeddings: tuple[Embedding, ...]) -> InputUsage:
    """All inputs together."""
    tokens = sum(each.n_tokens for each in embeddings)
    return InputUsage(tokens, tokens)


def numbers_of(embedding: Embedding) -> Vector:
    """The vector as the model gave it. Raises `EngineError` for one that holds what is no number."""
    import numpy as np

    vector = np.frombuffer(embedding.vector, "<f4")
    if not np.isfinite(vector).all():
        raise EngineError("The model gave a vector that is not made of numbers.")
    return vector


def shortened(vector: Vector, dimensions: int | None) -> Vector:
    """The first so many numbers of a vector. Raises `InvalidInput` if it has fewer."""
    if dimensions is not None and not 1 <= dimensions <= len(vector):
        raise InvalidInput(
            f"'dimensions' must be from 1 to {len(vector)}, as many as this model gives, not {dimensions}.",
            param="dimensions",
        )
    return vector[:dimensions]


def normalised(vector: Vector, norm: int) -> Vector:
    """A vector with a norm of 1: the p-norm for `norm` 1 and up, so 2 gives Euclid's length.

    0 scales the largest number to what fits 16-bit integers, -1 leaves the vector as it is (llama.cpp's
    `embd_normalize`). One of zeros stays.
    """
    import numpy as np

    if norm < 0:
        return vector
    wide = vector.astype(np.float64)
    highest = float(np.abs(wide).max(initial=0.0))
    if highest == 0:
        return vector
    wide /= highest  # so that no power of it is too big or too small
    size = 1 / _HIGHEST if norm == 0 else (np.abs(wide) ** norm).sum() ** (1 / norm)
    return np.asarray(wide / size, np.float32)
