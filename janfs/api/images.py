"""Images in requests: data URLs, and nothing that would have to be fetched or opened. Pure."""

import base64
import binascii
import re
import struct
from collections.abc import Sequence

from janfs.engines.image_kinds import MAX_PIXELS, image_kind
from janfs.engines.protocol import ChatPrompt, Image, RunSpec
from janfs.errors import InvalidInput, UnsupportedParameter

MAX_IMAGES = 16  # of one message
_DATA = re.compile(r"data:image/[a-z0-9.+-]+;base64,", re.IGNORECASE)
_READ = "PNG, JPEG, GIF, BMP, WebP, AVIF or TIFF"
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # of JPEG (ITU T.81, table B.1)

Piece = tuple[str | bytes, str]
"""A part of a message, its text or an image, and the place where it stands in the request."""
Content = tuple[str, tuple[Image, ...]]
"""All text of a message, and the images in it."""


def image_of(url: str, place: str) -> bytes:
    """The image that a data URL holds. Raises `InvalidInput`, naming the place."""
    head = _DATA.match(url)
    if head is not None:
        return decoded(url[head.end() :], place)
    if url[:8].lower().startswith(("http://", "https://")):
        raise UnsupportedParameter(
            f"'{place}': images are not fetched from elsewhere. Send it as data:image/png;base64,….",
            param=place,
        )
    raise InvalidInput(f"'{place}' must be data:image/TYPE;base64,….", param=place)


def decoded(text: str, place: str) -> bytes:
    """The image in base64. Raises `InvalidInput` for what is none, or one too big, and
    `UnsupportedParameter` for one of a kind that cannot be read.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(f"'{place}' is no base64.", param=place) from error
    kind = image_kind(data)
    if kind in {"heic", "svg"}:
        raise UnsupportedParameter(
            f"'{place}' is {kind.upper()}, which is not read. Send {_READ}.", param=place
        )
    if kind in {"webp", "avif", "tiff"}:
        return data  # whoever reads it looks how large it is
    size = dimensions(data)
    if size is None:
        raise InvalidInput(f"'{place}' is no {_READ}.", param=place)
    width, height = size
    if not 0 < width * height <= MAX_PIXELS:
        raise InvalidInput(
            f"'{place}' has {width} by {height} pixels; an image may have {MAX_PIXELS:,}.", param=place
        )
    return data


def dimensions(data: bytes) -> tuple[int, int] | None:
    """Width and height as the header says; None where it is none of those that are known here."""
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            width, height = struct.unpack_from(">II", data, 16)
        elif data.startswith((b"GIF87a", b"GIF89a")):
            width, height = struct.unpack_from("<HH", data, 6)
        elif data.startswith(b"BM"):
            width, height = map(abs, struct.unpack_from("<ii", data, 18))
        elif data.startswith(b"\xff\xd8"):
            return _jpeg(data)
        else:
            return None
    except (struct.error, IndexError):
        return None
    return width, height


def refuse_unseen(prompt: ChatPrompt, spec: RunSpec) -> None:
    """Raises `InvalidInput`, naming the first image, for a model that has no projector."""
    if spec.projector is not None:
        return
    for message in prompt.messages:
        for image in message.images:
            raise InvalidInput("This model sees no images: it has no projector.", param=image.place)


def together(pieces: Sequence[Piece]) -> Content:
    """The texts, a line each, with the images between them. Raises `InvalidInput` for too many.

    As in llama.cpp's server (common/chat.cpp) no line ends beside an image.
    """
    content, after_text = "", False
    images: list[Image] = []
    for piece, place in pieces:
        if isinstance(piece, bytes):
            images.append(Image(len(content), piece, place))
        else:
            content += "\n" + piece if after_text else piece
        after_text = isinstance(piece, str)
        if len(images) > MAX_IMAGES:
            raise InvalidInput(f"A message may hold {MAX_IMAGES} images.", param=place)
    return content, tuple(images)


def _jpeg(data: bytes) -> tuple[int, int] | None:
    at = 2
    while data[at] == 0xFF:
        if data[at + 1] in _FRAME_HEADERS:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    return None
