"""What makes images readable to a model: its projector, through llama.cpp's `mtmd`.

Images are encoded in the thread that prepares prompts, beside the one that computes, so that running answers
go on. Reference: llama.cpp's tools/mtmd/mtmd.h
"""

import ctypes
import hashlib
import secrets
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import llama_cpp as llama
import numpy as np
from llama_cpp import mtmd_cpp as mtmd

from janfs.engines.llama_cpp.log import Log
from janfs.engines.llama_cpp.pictures import Picture, Read, placeholders
from janfs.engines.llama_cpp.pixels import readable
from janfs.engines.llama_cpp.weights import Weights
from janfs.engines.protocol import Image
from janfs.errors import EngineError, InvalidInput, LoadFailed

_KEPT = 16  # encoded images


class Projector:
    """A loaded projector. Lives as long as the process; used by one thread."""

    def __init__(
        self, path: bytes, weights: Weights, log: Log, *, threads: int, gpu: bool, at_once: int
    ) -> None:
        """For a context that computes so many rows `at_once`. Raises `LoadFailed`, naming the file."""
        mtmd.mtmd_helper_log_set(log.callback, ctypes.c_void_p(0))
        log.errors.clear()
        # Nobody can know the marker, so that no text can claim to be an image.
        self.marker = f"<image-{secrets.token_hex(8)}>"
        params = mtmd.mtmd_context_params_default()
        params.use_gpu, params.n_threads = gpu, threads
        params.print_timings = params.warmup = False
        self._marker = self.marker.encode()
        params.media_marker = self._marker
        self._ctx = mtmd.mtmd_init_from_file(path, weights.handle, params)
        if self._ctx and mtmd.mtmd_decode_use_non_causal(self._ctx, None):
            # An image that is seen at once can have no more rows. Where its size is free, it is shrunk.
            mtmd.mtmd_free(self._ctx)
            params.image_max_tokens = at_once
            self._ctx = mtmd.mtmd_init_from_file(path, weights.handle, params)
        if not self._ctx:
            name = path.rpartition(b"/")[2].decode("utf-8", "replace")
            raise LoadFailed(f"The projector {name} cannot be used: {log.reason()}")
        self._weights = weights
        self._width = int(llama.llama_model_n_embd_inp(weights.handle))
        self._dimensions = 4 if mtmd.mtmd_decode_use_mrope(self._ctx) else 1
        self._most_at_once = at_once
        self._encoded: OrderedDict[tuple[bytes, int, int], Any] = OrderedDict()

    def read(self, text: str, images: Sequence[Image], beginning: Sequence[int]) -> Read:
        """The tokens of a text with a marker for each image; before it `beginning`, unless it begins so.

        Raises `InvalidInput`, naming the image.
        """
        if not mtmd.mtmd_support_vision(self._ctx):
            raise InvalidInput("This model's projector reads no images.", param=images[0].place)
        bitmaps = (ctypes.c_void_p * len(images))()
        chunks = mtmd.mtmd_input_chunks_init()
        places: dict[bytes, str] = {}
        try:
            for number, image in enumerate(images):
                plain = readable(image)
                data = (ctypes.c_uint8 * len(plain)).from_buffer_copy(plain)
                bitmap = mtmd.mtmd_helper_bitmap_init_from_buf(self._ctx, data, len(plain), False)
                bitmaps[number] = bitmap
                if not bitmap or mtmd.mtmd_bitmap_is_audio(bitmap):
                    raise InvalidInput(f"'{image.place}' is no image that can be read.", param=image.place)
                places[mtmd.mtmd_bitmap_get_id(bitmap)] = image.place
            said = self._begun(text, beginning).encode()
            given = mtmd.mtmd_input_text(said, len(said), False, True)
            status = mtmd.mtmd_tokenize(self._ctx, chunks, ctypes.byref(given), bitmaps, len(images))
            if status != 0:
                raise InvalidInput("The images cannot be read.", param=images[0].place)
            for number in range(mtmd.mtmd_input_chunks_size(chunks)):
                self._check(mtmd.mtmd_input_chunks_get(chunks, number), places)
            return self._together(chunks, beginning)
        finally:
            mtmd.mtmd_input_chunks_free(chunks)
            for bitmap in bitmaps:
                if bitmap:
                    mtmd.mtmd_bitmap_free(bitmap)

    def _begun(self, text: str, beginning: Sequence[int]) -> str:
        """A text with its beginning spelled out: some images are laid out by the tokens before them."""
        spelled = "".join(map(self._weights.special_text, beginning))
        known = text.startswith(spelled) or self._weights.tokenize(spelled) != list(beginning)
        return text if known else spelled + text

    def _check(self, chunk: Any, places: Mapping[bytes, str]) -> None:
        """Raises `InvalidInput` for a piece of an image that has to be seen at once and is too large."""
        count = mtmd.mtmd_input_chunk_get_n_tokens(chunk)
        place = places.get(mtmd.mtmd_input_chunk_get_id(chunk))
        too_large = count > self._most_at_once and mtmd.mtmd_decode_use_non_causal(self._ctx, chunk)
        if place is not None and too_large:
            raise InvalidInput(
                f"This model has to see the {count} tokens of '{place}' at once, and {self._most_at_once} "
                "is all that n_batch lets it compute together.",
                param=place,
            )

    def _together(self, chunks: Any, beginning: Sequence[int]) -> Read:
        tokens, position = list(beginning), len(beginning)
        pictures: list[Picture] = []
        seen: Counter[bytes] = Counter()
        for number in range(mtmd.mtmd_input_chunks_size(chunks)):
            chunk = mtmd.mtmd_input_chunks_get(chunks, number)
            if mtmd.mtmd_input_chunk_get_type(chunk) == mtmd.MTMD_INPUT_CHUNK_TYPE_TEXT:
                words = _words(chunk)
                if number == 0 and words[: len(tokens)] == tokens:
                    words = words[len(tokens) :]
                tokens += words
                position += len(words)
                continue
            picture = self._picture(chunk, len(tokens), position, seen)
            digest = hashlib.sha256(picture.rows.tobytes() + picture.positions.tobytes()).digest()
            pictures.append(picture)
            tokens += placeholders(digest, len(picture.rows))
            position += picture.extent
        return Read(tokens, tuple(pictures))

    def _picture(self, chunk: Any, place: int, position: int, seen: Counter[bytes]) -> Picture:
        count = mtmd.mtmd_input_chunk_get_n_tokens(chunk)
        image = mtmd.mtmd_input_chunk_get_tokens_image(chunk)
        at_once = bool(mtmd.mtmd_decode_use_non_causal(self._ctx, chunk))
        found = (mtmd.mtmd_decoder_pos * count)()
        mtmd.mtmd_helper_image_get_decoder_pos(image, position, found)
        # llama.cpp wants the time first, then how far down, then how far to the right.
        positions = np.ctypeslib.as_array(found).view(np.uint32).reshape(count, 4)[:, [0, 2, 1, 3]].T
        extent = int(mtmd.mtmd_input_chunk_get_n_pos(chunk))
        rows = self._rows(chunk, int(count), seen)
        return Picture(place, rows, positions[: self._dimensions].astype(np.int32), extent, at_once)

    def _rows(self, chunk: Any, count: int, seen: Counter[bytes]) -> Any:
        """What an image is to the model. An image of several pieces is one after the other."""
        name = mtmd.mtmd_input_chunk_get_id(chunk) or b""
        # The same image may have another number of rows elsewhere, where it is padded by its place.
        key, seen[name] = (name, seen[name], count), seen[name] + 1
        if key not in self._encoded:
            self._encoded[key] = self._encode(chunk, count)
        self._encoded.move_to_end(key)
        while len(self._encoded) > _KEPT:
            self._encoded.popitem(last=False)
        return self._encoded[key]

    def _encode(self, chunk: Any, count: int) -> Any:
        if mtmd.mtmd_encode_chunk(self._ctx, chunk) != 0:
            raise EngineError("llama.cpp could not encode an image.")
        found = mtmd.mtmd_get_output_embd(self._ctx)
        return np.ctypeslib.as_array(found, (count, self._width)).copy()


def _words(chunk: Any) -> list[int]:
    """The tokens of a piece of text."""
    size = ctypes.c_size_t()
    words = mtmd.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(size))
    return list(words[: size.value])
