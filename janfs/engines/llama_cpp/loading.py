"""Loading a model as its file and its settings want it run: to write text, to make vectors, or both."""

import os
import time
from pathlib import Path
from typing import NamedTuple

from janfs.engines.llama_cpp import wire
from janfs.engines.llama_cpp.chat import ChatFormat, chat_format
from janfs.engines.llama_cpp.cores import available_cores
from janfs.engines.llama_cpp.grammar_file import read_grammar
from janfs.engines.llama_cpp.log import Log
from janfs.engines.llama_cpp.native import NativeModel
from janfs.engines.llama_cpp.pooled import PooledModel
from janfs.engines.llama_cpp.projector import Projector
from janfs.engines.llama_cpp.weights import Weights
from janfs.engines.protocol import EngineInfo


class Loaded(NamedTuple):
    """A model and how it is used: `writing` and `pooled` (which makes vectors) are there if it does that."""

    weights: Weights
    writing: NativeModel | None
    pooled: PooledModel | None
    chat: ChatFormat
    info: EngineInfo
    projector: Projector | None
    form: str | None  # binds answers that are free otherwise (GBNF)

    def left_behind(self) -> int:
        """How many texts and grammars llama.cpp works on in vain."""
        in_vain = self.writing.constraints.left if self.writing is not None else 0
        return self.weights.cutting.left + in_vain


def load(wanted: wire.Load, log: Log) -> Loaded:
    """Load a model. Raises `LoadFailed` with llama.cpp's own words."""
    began, settings = time.monotonic(), wanted.settings
    threads = settings.cpu_threads or available_cores()
    weights = Weights(wanted.path, settings, log)
    weights.adapt(wanted.adapters)
    writing = NativeModel(weights, settings, threads, log) if weights.writes else None
    embeds = settings.embedding or writing is None
    pooled = PooledModel(weights, settings, threads, log) if embeds else None
    longest = writing or pooled
    assert longest is not None
    bos, eos = weights.special_text(weights.bos), weights.special_text(weights.eos)
    grammar = None
    if settings.grammar_file is not None and writing is not None:
        grammar = read_grammar(Path(os.fsdecode(wanted.path)).parent, settings.grammar_file, writing)
    info = EngineInfo(
        pid=os.getpid(),
        load_seconds=time.monotonic() - began,
        n_ctx=longest.n_ctx,
        n_ctx_train=weights.n_ctx_train,
        n_parallel=settings.n_parallel,
        n_vocab=weights.n_vocab,
        n_params=weights.n_params,
        description=weights.description,
        grammar=grammar.file if grammar is not None else None,
    )
    chat = chat_format(settings, weights.chat_template, bos, eos)
    projector = None
    if wanted.projector is not None and writing is not None:
        gpu, at_once = settings.ngl != 0, writing.n_at_once
        projector = Projector(wanted.projector, weights, log, threads=threads, gpu=gpu, at_once=at_once)
    form = grammar.text if grammar is not None else None
    return Loaded(weights, writing, pooled, chat, info, projector, form)
