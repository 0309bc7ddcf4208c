"""Of what kind an image is, by how it begins. Pure."""

import re
from typing import Literal

MAX_PIXELS = 2**26  # of one image; a few bytes can unfold to gigabytes

Kind = Literal["png", "jpeg", "gif", "bmp", "webp", "avif", "heic", "tiff", "svg"]

_KINDS = re.compile(
    rb"(?P<png>\x89PNG\r\n\x1a\n)|(?P<jpeg>\xff\xd8)|(?P<gif>GIF8[79]a)|(?P<bmp>BM)|(?P<webp>RIFF....WEBP)"
    rb"|....ftyp(?:(?P<avif>avi[fs])|(?P<heic>hei[cx]|mif1|msf1))|(?P<tiff>II\*\0|MM\0\*)"
    rb"|(?P<svg>\s*<(?:svg|\?xml))",
    re.DOTALL,
)


def image_kind(data: bytes) -> Kind | None:
    """The kind of an image; None for one that is not known here, or none at all."""
    found = _KINDS.match(data[:64])
    return found.lastgroup if found is not None else None  # type: ignore[return-value]  # groups are kinds
