"""A model and its context through llama.cpp's C API.

Only functions declared in llama.h are used; `tests/engines/llama_cpp/test_native.py` calls each of them,
since signatures move between releases. Ownership is plain: `load` makes a model, a context and a batch
that live as long as the process.
"""

import ctypes
import os
import sys
from collections import deque
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import llama_cpp as llama

from janfs.engines.llama_cpp.candidates import Candidates
from janfs.engines.llama_cpp.grammar import Grammars
from janfs.engines.llama_cpp.parameters import context_params, model_params
from janfs.engines.llama_cpp.sampling import ChainSampler, CloseSampler, sampler_chain
from janfs.engines.llama_cpp.scheduler import Decoded, Entry
from janfs.engines.protocol import EngineSettings, SamplingParams
from janfs.errors import EngineError, InvalidInput, LoadFailed

_WARN, _ERROR, _CONTINUED = 3, 4, 5  # enum ggml_log_level


class Log:
    """llama.cpp's log: warnings and errors go to stderr, errors are remembered to explain a failed load.

    Keep the instance: llama.cpp calls back for as long as the process lives, and a collected callback is
    a segmentation fault at the next line.
    """

    def __init__(self) -> None:
        self.errors: deque[str] = deque(maxlen=8)
        self._level = 0
        self._callback = llama.llama_log_callback(self._line)
        llama.llama_log_set(self._callback, ctypes.c_void_p(0))

    def _line(self, level: int, text: bytes, _: object) -> None:
        if level != _CONTINUED:
            self._level = level
        if self._level not in {_WARN, _ERROR}:
            return
        line = text.decode("utf-8", "replace")
        sys.stderr.write(line)
        if self._level == _ERROR and line.strip():
            self.errors.append(line.strip())


class NativeModel:
    """A loaded model with its context. One thread decodes and samples; the vocabulary is for all threads."""

    def __init__(self, path: bytes, settings: EngineSettings, threads: int, log: Log) -> None:
        if not Path(os.fsdecode(path)).is_file():
            raise LoadFailed(f"The model file {path.decode('utf-8', 'replace')} does not exist.")
        self._log = log
        log.errors.clear()
        llama.llama_backend_init()
        self._model = llama.llama_model_load_from_file(path, model_params(settings))
        if not self._model:
            raise LoadFailed(_reason(log))
        if llama.llama_model_has_encoder(self._model):
            raise LoadFailed("Encoder-decoder models cannot be run yet.")
        params = context_params(settings, threads)
        self._ctx = llama.llama_init_from_model(self._model, params)
        if not self._ctx:
            raise LoadFailed(_reason(log))
        self._memory = llama.llama_get_memory(self._ctx)
        self._vocab = llama.llama_model_get_vocab(self._model)
        self.grammars = Grammars(self._vocab)
        self._batch = llama.llama_batch_init(params.n_batch, 0, 1)
        self._abort_flag = _set_abort_flag(self._ctx)
        # What can be moved can be cut and shared, but for a recurrent state, which is all or nothing.
        self.can_share = bool(
            llama.llama_memory_can_shift(self._memory)
            and not llama.llama_model_is_recurrent(self._model)
            and not llama.llama_model_is_hybrid(self._model)
        )
        self._window = int(llama.llama_model_n_swa(self._model))  # 0: none
        self.n_batch = int(params.n_batch)
        self.n_ctx = int(llama.llama_n_ctx(self._ctx))
        self.n_ctx_train = int(llama.llama_model_n_ctx_train(self._model))
        self.n_params = int(llama.llama_model_n_params(self._model))
        self.n_vocab = int(llama.llama_vocab_n_tokens(self._vocab))
        self.adds_bos = bool(llama.llama_vocab_get_add_bos(self._vocab))
        self.bos = int(llama.llama_vocab_bos(self._vocab))  # -1 where the vocabulary has none
        self.eos = int(llama.llama_vocab_eos(self._vocab))

    def adapt(self, paths: Sequence[bytes]) -> None:
        """Apply adapters (LoRA), each in its full strength. Raises `LoadFailed`, naming the file."""
        adapters = []
        for path in paths:
            self._log.errors.clear()
            adapter = llama.llama_adapter_lora_init(self._model, path)
            if not adapter:
                name = path.rpartition(b"/")[2].decode("utf-8", "replace")
                raise LoadFailed(f"The adapter {name} cannot be applied: {_reason(self._log)}")
            adapters.append(adapter)
        if adapters:
            handles = (llama.llama_adapter_lora_p_ctypes * len(adapters))(*adapters)
            strengths = (ctypes.c_float * len(adapters))(*[1.0] * len(adapters))
            if llama.llama_set_adapters_lora(self._ctx, handles, len(adapters), strengths) != 0:
                raise LoadFailed(f"The adapters cannot be applied: {_reason(self._log)}")

    @property
    def description(self) -> str:
        """Architecture, size and quantisation in llama.cpp's words."""
        buffer = ctypes.create_string_buffer(256)
        llama.llama_model_desc(self._model, buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace")

    @property
    def chat_template(self) -> str | None:
        """The Jinja template in the file, untrusted; None where it has none."""
        template = llama.llama_model_chat_template(self._model, None)
        return template.decode("utf-8", "replace") if template else None

    def tokenize(self, text: str) -> list[int]:
        """The tokens of a text, special tokens recognised, nothing added."""
        data = text.encode()
        room = len(data) + 8  # a token covers at least a byte; some tokenizers put a blank in front
        tokens = (llama.llama_token * room)()
        count = llama.llama_tokenize(self._vocab, data, len(data), tokens, room, False, True)
        if count < 0:
            raise EngineError(f"llama.cpp could not tokenize {len(data)} bytes.")
        return list(tokens[:count])

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The bytes of a token, which may be a part of a character; of control tokens only if asked for."""
        return self._piece(token, special=special)

    def special_text(self, token: int) -> str:
        """How a special token is spelled in a template; empty for -1, none."""
        return self._piece(token, special=True).decode("utf-8", "replace") if token >= 0 else ""

    def _piece(self, token: int, *, special: bool) -> bytes:
        room = 64
        while True:
            buffer = ctypes.create_string_buffer(room)
            size = llama.llama_token_to_piece(self._vocab, token, buffer, room, 0, special)
            if size >= 0:
                return buffer.raw[:size]
            room = -size

    def is_end(self, token: int) -> bool:
        return bool(llama.llama_vocab_is_eog(self._vocab, token))

    @cached_property
    def end_tokens(self) -> list[int]:
        """Every token that ends an answer."""
        return [token for token in range(self.n_vocab) if self.is_end(token)]

    def decode(self, batch: Sequence[Entry]) -> Decoded:
        into = self._batch
        into.n_tokens = len(batch)
        for i, entry in enumerate(batch):
            into.token[i], into.pos[i] = entry.token, entry.position
            into.n_seq_id[i], into.seq_id[i][0] = 1, entry.seq
            into.logits[i] = entry.logits
        status = llama.llama_decode(self._ctx, into)
        if status == 0:
            return Decoded.OK
        if status == 1:
            return Decoded.FULL
        if status == 2:
            return Decoded.ABORTED
        raise EngineError(f"llama_decode failed with status {status}.")

    def abort(self, now: bool) -> None:
        """While True, a decode stops at the next node of its graph. May be called from any thread."""
        self._abort_flag[0] = b"\1" if now else b"\0"

    def share(self, source: int, target: int, start: int, end: int) -> bool:
        # Behind a sliding window cells are given to others. A hole in `target` would show only as a wrong
        # answer, so a middle part must be whole; of a beginning, what the next token can see must be there.
        needed = start or max(0, end - self._window)
        if self._window and llama.llama_memory_seq_pos_min(self._memory, source) > needed:
            return False
        llama.llama_memory_seq_rm(self._memory, target, start, end)
        llama.llama_memory_seq_cp(self._memory, source, target, start, end)
        return True

    def cut(self, seq: int, start: int) -> bool:
        return self.can_share and bool(llama.llama_memory_seq_rm(self._memory, seq, start, -1))

    def release(self, seq: int) -> None:
        llama.llama_memory_seq_rm(self._memory, seq, -1, -1)

    def check(self, params: SamplingParams) -> None:
        """Raises `InvalidInput` for what this model cannot be asked; compiles a grammar. Main thread only."""
        for token, _ in params.logit_bias:
            if not 0 <= token < self.n_vocab:
                raise InvalidInput(
                    f"Token {token} is not in the vocabulary (0 to {self.n_vocab - 1}).", param="logit_bias"
                )
        self.grammars.check(params)

    def sampler(self, params: SamplingParams, prompt: Sequence[int]) -> ChainSampler | CloseSampler:
        ends = self.end_tokens if params.ignore_eos else []
        grammar = self.grammars.sampler(params)
        chain = sampler_chain(params, prompt, self.n_ctx, self.n_vocab, ends)
        if grammar is None and params.logprobs is None:
            return ChainSampler(self._ctx, chain)
        return CloseSampler(self._candidates, chain, grammar, params.logprobs)

    @cached_property
    def _candidates(self) -> Candidates:
        return Candidates(self._ctx, self.n_vocab, lambda token: self._piece(token, special=True))


def _set_abort_flag(ctx: object) -> ctypes.Array[ctypes.c_char]:
    """Two bytes that llama.cpp looks at before every node of its graph: a first byte other than 0 aborts.

    The callback is C's strlen, not Python: it is called some 500 times a token, and with another Python
    thread busy each call waits for the interpreter lock (measured: 1 token a second instead of 16).
    """
    flag = ctypes.create_string_buffer(2)
    strlen = ctypes.cast(ctypes.CDLL(None).strlen, llama.ggml_abort_callback)
    llama.llama_set_abort_callback(ctx, strlen, ctypes.cast(flag, ctypes.c_void_p))
    return flag


def _reason(log: Log) -> str:
    """llama.cpp's own words, without the names of its functions and without repeats."""
    words = [line.split(": ", 1)[-1] for line in log.errors]
    return "; ".join(dict.fromkeys(words)) or "llama.cpp gave no reason."
