"""Images of other kinds, beside their pixels."""

import io
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from janfs.engines.llama_cpp.pixels import readable
from janfs.engines.protocol import Image
from janfs.errors import InvalidInput
from tests.engines.tiny_projector import noise, png

PIXELS = np.asarray(Pillow.open(io.BytesIO(noise(7, 56, 42))))


def written(kind: str, *, mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    Pillow.fromarray(PIXELS).convert(mode).save(file, kind, **options)
    return file.getvalue()


def read(data: bytes) -> Any:
    """The pixels of what llama.cpp would be given."""
    found = readable(Image(0, data, "part 1"))
    assert found.startswith(b"P6 56 42 255\n")
    return np.frombuffer(found.partition(b"255\n")[2], np.uint8).reshape(42, 56, 3)


@pytest.mark.parametrize(
    ("data", "off"),
    [
        (written("WEBP", lossless=True), 0),
        (written("WEBP", lossless=True, mode="RGBA", exact=True), 0),
        (written("TIFF"), 0),
        (written("TIFF", compression="tiff_lzw"), 0),
        (written("TIFF", mode="CMYK"), 1),
        (written("WEBP", quality=95), 60),
        (written("AVIF", quality=95, subsampling="4:4:4"), 60),
    ],
    ids=["webp", "webp with alpha", "tiff", "tiff lzw", "tiff cmyk", "webp with loss", "avif"],
)
def test_an_image_of_another_kind_keeps_its_pixels(data: bytes, off: int) -> None:
    assert np.abs(read(data).astype(int) - PIXELS).mean() <= off / 4
    assert off or (read(data) == PIXELS).all()


def test_of_a_moving_image_the_first_picture_is_seen() -> None:
    file, black = io.BytesIO(), Pillow.new("RGB", (56, 42))
    Pillow.fromarray(PIXELS).save(file, "WEBP", lossless=True, save_all=True, append_images=[black] * 3)
    assert (read(file.getvalue()) == PIXELS).all()


@pytest.mark.parametrize("data", [png(1, 2, 3), b"nonsense", b"", b"\0\0\0 ftypheic"])
def test_what_llama_cpp_reads_or_nobody_does_is_left_alone(data: bytes) -> None:
    assert readable(Image(0, data, "part 1")) == data


@pytest.mark.parametrize("sides", [(16384, 16384), (9000, 9000)])
def test_a_few_bytes_do_not_unfold_to_gigabytes(sides: tuple[int, int]) -> None:
    small = bytearray(written("WEBP", lossless=True))
    at = small.index(b"VP8L") + 9  # behind its length and a signature; 14 bits for each side, less one
    rest = int.from_bytes(small[at : at + 4], "little") >> 28 << 28
    small[at : at + 4] = struct.pack("<I", rest | (sides[1] - 1) << 14 | (sides[0] - 1))
    with pytest.raises(InvalidInput, match=r"'part 1' is too large.*67,108,864 pixels") as caught:
        readable(Image(0, bytes(small), "part 1"))
    assert caught.value.param == "part 1"


KINDS = [
    written("WEBP", lossless=True), written("TIFF"), written("TIFF", compression="tiff_lzw"), written("AVIF"),
]  # fmt: skip


@given(st.integers(0, len(KINDS) - 1), st.integers(12, 400), st.binary(min_size=1, max_size=8))
@settings(deadline=None, max_examples=100)
def test_a_broken_image_is_refused_by_its_place_or_read(kind: int, at: int, other: bytes) -> None:
    data, refused = KINDS[kind], set[str | None]()
    for broken in (data[:at], data[:at] + other + data[at + len(other) :]):
        try:
            readable(Image(0, broken, "part 1"))
        except InvalidInput as error:
            refused.add(error.param)
    assert refused <= {"part 1"}
