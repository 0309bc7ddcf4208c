"""Images of kinds that llama.cpp does not read, made into one that it does. Main thread of a worker only."""

import io
import struct
import warnings

from janfs.engines.image_kinds import MAX_PIXELS, image_kind
from janfs.engines.llama_cpp.limits import LimitExceeded, limited
from janfs.engines.protocol import Image
from janfs.errors import InvalidInput

_FOREIGN = {"webp": "WEBP", "avif": "AVIF", "tiff": "TIFF"}  # as Pillow calls them
_MAX_SECONDS = 10.0
_MAX_MEMORY = 2**30  # bytes: the largest image as Pillow has it, as plain pixels, and what its decoder takes


def readable(image: Image) -> bytes:
    """The bytes of an image that llama.cpp reads; of a moving one the first picture, of many pages the first.

    Raises `InvalidInput`, naming its place, for one that is broken or too large.
    """
    kind = _FOREIGN.get(image_kind(image.data) or "")
    if kind is None:
        return image.data
    try:
        with warnings.catch_warnings(action="ignore"), limited(_MAX_SECONDS, _MAX_MEMORY):
            return _plain(image, kind)
    except LimitExceeded as error:
        raise InvalidInput(f"'{image.place}' cannot be read: {error}.", param=image.place) from error
    except (
        OSError, SyntaxError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError, EOFError,
        MemoryError, RuntimeError, struct.error,
    ) as error:  # fmt: skip
        raise InvalidInput(f"'{image.place}' is no image that can be read.", param=image.place) from error


def _plain(image: Image, kind: str) -> bytes:
    """As a PPM, which is its pixels behind a line of text."""
    from PIL import Image as Pillow  # few images need it, and it takes time at every start

    too_large = InvalidInput(
        f"'{image.place}' is too large; an image may have {MAX_PIXELS:,} pixels.", param=image.place
    )
    try:
        with Pillow.open(io.BytesIO(image.data), formats=[kind]) as opened:
            width, height = opened.size  # as the header says; nothing is unfolded yet
            if width * height > MAX_PIXELS:
                raise too_large
            return b"P6 %d %d 255\n" % (width, height) + opened.convert("RGB").tobytes()
    except Pillow.DecompressionBombError as error:  # so large that Pillow does not even tell
        raise too_large from error
