"""A model file as llama.cpp loads it: its weights, its vocabulary, and what its header says of its use.

Only functions declared in llama.h are used, as in all modules that import `llama_cpp`;
`tests/engines/llama_cpp/test_native.py` calls each of them, since signatures move between releases.
"""

import ctypes
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import llama_cpp as llama

from janfs.engines.llama_cpp.aside import Aside
from janfs.engines.llama_cpp.limits import LimitExceeded
from janfs.engines.llama_cpp.log import Log
from janfs.engines.llama_cpp.parameters import model_params
from janfs.engines.protocol import EngineSettings, Pooling
from janfs.errors import EngineError, InvalidInput, LoadFailed

_POOLINGS: tuple[Pooling, ...] = ("none", "mean", "cls", "last", "rank")  # llama.h: enum llama_pooling_type

SHORT = 2**16  # bytes that are cut into tokens at once, in a second at the very worst
MAX_SECONDS = 10.0  # for the tokens of a longer text; ten million letters of one kind take a minute

_MROPE = {llama.LLAMA_ROPE_TYPE_MROPE, 40}  # ggml.h: GGML_ROPE_TYPE_IMROPE, which the package does not name


class Weights:
    """A loaded model. It lives as long as the process; contexts are made on its `handle`. For all threads."""

    def __init__(self, path: bytes, settings: EngineSettings, log: Log) -> None:
        if not Path(os.fsdecode(path)).is_file():
            raise LoadFailed(f"The model file {path.decode('utf-8', 'replace')} does not exist.")
        log.errors.clear()
        llama.llama_backend_init()
        self.handle = llama.llama_model_load_from_file(path, model_params(settings))
        if not self.handle:
            raise LoadFailed(log.reason())
        self.has_encoder = bool(llama.llama_model_has_encoder(self.handle))
        # A state is all or nothing, and takes its room for every sequence there could be.
        self.has_state = bool(
            llama.llama_model_is_recurrent(self.handle) or llama.llama_model_is_hybrid(self.handle)
        )
        # Whether it knows positions in more than one dimension, as of rows in an image.
        self.has_mrope = llama.llama_model_rope_type(self.handle) in _MROPE
        self._has_decoder = bool(llama.llama_model_has_decoder(self.handle))
        if self.has_encoder and self._has_decoder:
            raise LoadFailed("Encoder-decoder models cannot be run yet.")
        self.vocabulary = llama.llama_model_get_vocab(self.handle)
        self.n_ctx_train = int(llama.llama_model_n_ctx_train(self.handle))
        self.n_params = int(llama.llama_model_n_params(self.handle))
        self.n_vocab = int(llama.llama_vocab_n_tokens(self.vocabulary))
        self.adds_bos = bool(llama.llama_vocab_get_add_bos(self.vocabulary))
        self.adds_eos = bool(llama.llama_vocab_get_add_eos(self.vocabulary))
        self.adds_sep = bool(llama.llama_vocab_get_add_sep(self.vocabulary))
        self.bos = int(llama.llama_vocab_bos(self.vocabulary))  # -1 where the vocabulary has none
        self.eos = int(llama.llama_vocab_eos(self.vocabulary))
        self.sep = int(llama.llama_vocab_sep(self.vocabulary))
        self.cutting = Aside("a text is cut into tokens", MAX_SECONDS, begun=True)
        self._log = log
        self._adapters: list[Any] = []

    def adapt(self, paths: Sequence[bytes]) -> None:
        """Load adapters (LoRA) for the contexts to be made. Raises `LoadFailed`, naming the file."""
        for path in paths:
            self._log.errors.clear()
            adapter = llama.llama_adapter_lora_init(self.handle, path)
            if not adapter:
                name = path.rpartition(b"/")[2].decode("utf-8", "replace")
                raise LoadFailed(f"The adapter {name} cannot be applied: {self._log.reason()}")
            self._adapters.append(adapter)

    def apply_adapters(self, ctx: object) -> None:
        """Have a context use the adapters, each in its full strength. Raises `LoadFailed`."""
        if self._adapters:
            count = len(self._adapters)
            handles = (llama.llama_adapter_lora_p_ctypes * count)(*self._adapters)
            strengths = (ctypes.c_float * count)(*[1.0] * count)
            if llama.llama_set_adapters_lora(ctx, handles, count, strengths) != 0:
                raise LoadFailed(f"The adapters cannot be applied: {self._log.reason()}")

    @property
    def description(self) -> str:
        """Architecture, size and quantisation in llama.cpp's words."""
        buffer = ctypes.create_string_buffer(256)
        llama.llama_model_desc(self.handle, buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace")

    @property
    def chat_template(self) -> str | None:
        """The Jinja template in the file, untrusted; None where it has none."""
        return self._template(None)

    @property
    def rerank_template(self) -> str | None:
        """How a reranker wants its texts, with the places `{query}` and `{document}`, where its file says."""
        return self._template(b"rerank")

    def _template(self, name: bytes | None) -> str | None:
        template = llama.llama_model_chat_template(self.handle, name)
        return template.decode("utf-8", "replace") if template else None

    @cached_property
    def is_causal(self) -> bool:
        """Whether a token sees only those before it, so that the next one can be told from it."""
        return self._said("attention.causal") != "false" and self._has_decoder

    @cached_property
    def pooling(self) -> Pooling | None:
        """What the header says of how the vectors of a text's tokens become one; None where it is silent."""
        said = self._said("pooling_type")
        number = int(said) if said is not None and said.isdecimal() else -1
        return _POOLINGS[number] if 0 <= number < len(_POOLINGS) else None

    @property
    def writes(self) -> bool:
        """Whether the model writes text: one that was trained to embed or to rank texts does not."""
        return self.is_causal and self.pooling in {None, "none"}

    def _said(self, key: str) -> str | None:
        """A value of the header, below its architecture."""
        architecture = self._value("general.architecture") or ""
        return self._value(f"{architecture}.{key}")

    def _value(self, key: str) -> str | None:
        buffer = ctypes.create_string_buffer(256)
        size = llama.llama_model_meta_val_str(self.handle, key.encode(), buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace") if size >= 0 else None

    def tokenize(self, text: str, *, whole: bool = False, special: bool = True) -> list[int]:
        """The tokens of a text; what spells `special` tokens is recognised.

        Nothing is added, unless it is a `whole` one: it begins and ends as the vocabulary wants it. For one
        thread. Raises `InvalidInput` where it takes too long, which goes with the square of the number of
        special tokens, and in some vocabularies of blanks.
        """
        data = text.encode()
        room = len(data) + 8  # a token covers at least a byte; some tokenizers put a blank in front
        tokens = (llama.llama_token * room)()

        def cut() -> int:
            return int(llama.llama_tokenize(self.vocabulary, data, len(data), tokens, room, whole, special))

        try:
            count = cut() if len(data) <= SHORT else self.cutting.call(cut)
        except LimitExceeded as error:
            raise InvalidInput(f"The text cannot be cut into tokens: {error}.") from error
        if count < 0:
            raise EngineError(f"llama.cpp could not tokenize {len(data)} bytes.")
        return list(tokens[:count])

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The bytes of a token, which may be a part of a character; of control tokens only if asked for."""
        room = 64
        while True:
            buffer = ctypes.create_string_buffer(room)
            size = llama.llama_token_to_piece(self.vocabulary, token, buffer, room, 0, special)
            if size >= 0:
                return buffer.raw[:size]
            room = -size

    def fewest(self, text: str) -> int:
        """So many tokens a text has at least, by its length alone; 0 of one that is cut at once anyway."""
        return len(text) // self._longest if len(text) > SHORT else 0

    @cached_property
    def _longest(self) -> int:
        """The most bytes of a token; to find it takes a tenth of a second."""
        return max(map(len, self.pieces()), default=1) or 1

    def pieces(self) -> list[bytes]:
        """The bytes of every token, special ones spelled out."""
        room, spell, vocabulary, found = 64, llama.llama_token_to_piece, self.vocabulary, []
        buffer = ctypes.create_string_buffer(room)  # one for all: most of the time goes into making others
        for token in range(self.n_vocab):
            size = spell(vocabulary, token, buffer, room, 0, True)
            found.append(buffer.raw[:size] if size >= 0 else self.piece(token, special=True))
        return found

    def special_text(self, token: int) -> str:
        """How a special token is spelled in a template; empty for -1, none."""
        return self.piece(token, special=True).decode("utf-8", "replace") if token >= 0 else ""

    def is_end(self, token: int) -> bool:
        return bool(llama.llama_vocab_is_eog(self.vocabulary, token))

    @cached_property
    def end_tokens(self) -> list[int]:
        """Every token that ends an answer."""
        return [token for token in range(self.n_vocab) if self.is_end(token)]
