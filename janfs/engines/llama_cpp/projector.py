"""What makes images readable to a model: its projector, through llama.cpp's `mtmd`.

Images are encoded in the thread that prepares prompts, beside the one that computes, so that running answers
go on. Reference: llama.cpp's tools/mtmd/mtmd.h
"""

import ctypes
import hashlib
import secrets
from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import Any

import llama_cpp as llama
import numpy as np
from llama_cpp import mtmd_cpp as mtmd

from janfs.engines.llama_cpp.log import Log
from janfs.engines.llama_cpp.pictures import Picture, Read, placeholders
from janfs.engines.llama_cpp.weights import Weights
from janfs.engines.protocol import Image
from janfs.errors import EngineError, InvalidInput, LoadFailed

_KEPT = 16  # encoded images


class Projector:
    """A loaded projector. Lives as long as the process; used by one thread."""

    def __init__(self, path: bytes, weights: Weights, threads: int, gpu: bool, log: Log) -> None:
        """Raises `LoadFailed`, naming the file."""
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
        if not self._ctx:
            name = path.rpartition(b"/")[2].decode("utf-8", "replace")
            raise LoadFailed(f"The projector {name} cannot be used: {log.reason()}")
        self._width = int(llama.llama_model_n_embd_inp(weights.handle))
        self._encoded: OrderedDict[tuple[bytes, int], Any] = OrderedDict()
        # Positions in two dimensions (M-RoPE) and masks of images' own do not go with a shared cache yet.
        self._plain = mtmd.mtmd_support_vision(self._ctx) and not (
            mtmd.mtmd_decode_use_mrope(self._ctx) or mtmd.mtmd_decode_use_non_causal(self._ctx, None)
        )

    def read(self, text: str, images: Sequence[Image]) -> Read:
        """The tokens of a text with a marker for each image. Raises `InvalidInput`, naming the image."""
        if not self._plain:
            raise InvalidInput(
                "This model's projector is of a kind that is not supported yet.", param=images[0].place
            )
        bitmaps = (ctypes.c_void_p * len(images))()
        chunks = mtmd.mtmd_input_chunks_init()
        try:
            for number, image in enumerate(images):
                data = (ctypes.c_uint8 * len(image.data)).from_buffer_copy(image.data)
                bitmap = mtmd.mtmd_helper_bitmap_init_from_buf(self._ctx, data, len(image.data), False)
                if not bitmap or mtmd.mtmd_bitmap_is_audio(bitmap):
                    raise InvalidInput(f"'{image.place}' is no image that can be read.", param=image.place)
                bitmaps[number] = bitmap
            said = text.encode()
            given = mtmd.mtmd_input_text(said, len(said), False, True)
            status = mtmd.mtmd_tokenize(self._ctx, chunks, ctypes.byref(given), bitmaps, len(images))
            if status != 0:
                raise InvalidInput("The images cannot be read.", param=images[0].place)
            return self._together(chunks)
        finally:
            mtmd.mtmd_input_chunks_free(chunks)
            for bitmap in bitmaps:
                if bitmap:
                    mtmd.mtmd_bitmap_free(bitmap)

    def _together(self, chunks: Any) -> Read:
        tokens: list[int] = []
        pictures: list[Picture] = []
        seen: Counter[bytes] = Counter()
        for number in range(mtmd.mtmd_input_chunks_size(chunks)):
            chunk = mtmd.mtmd_input_chunks_get(chunks, number)
            count = mtmd.mtmd_input_chunk_get_n_tokens(chunk)
            if mtmd.mtmd_input_chunk_get_type(chunk) == mtmd.MTMD_INPUT_CHUNK_TYPE_TEXT:
                size = ctypes.c_size_t()
                words = mtmd.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(size))
                tokens += words[: size.value]
                continue
            rows = self._rows(chunk, int(count), seen)
            digest = hashlib.sha256(rows.tobytes()).digest()
            pictures.append(Picture(len(tokens), rows))
            tokens += placeholders(digest, len(rows))
        return Read(tokens, tuple(pictures))

    def _rows(self, chunk: Any, count: int, seen: Counter[bytes]) -> Any:
        """What an image is to the model. An image of several pieces is one after the other."""
        name = mtmd.mtmd_input_chunk_get_id(chunk) or b""
        key, seen[name] = (name, seen[name]), seen[name] + 1
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
