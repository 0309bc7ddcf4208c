"""The process that holds one model: `python -m janfs.engines.llama_cpp.worker <socket> <parent's pid>`.

Three threads. One reads commands from the socket. The main thread turns prompts into tokens, since it alone
can put a time limit on a template. One computes: it owns the scheduler and the context. Whatever goes wrong
beyond a request ends the process; the host tells its requests.
"""

import faulthandler
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from janfs.engines.free_memory import give_back
from janfs.engines.llama_cpp import wire
from janfs.engines.llama_cpp.channel import Channel
from janfs.engines.llama_cpp.cores import available_cores, fair_part
from janfs.engines.llama_cpp.dialects.stream import PartStream
from janfs.engines.llama_cpp.echo import Echo, echo_of
from janfs.engines.llama_cpp.embedding import Embedded, EmbeddingQueue
from janfs.engines.llama_cpp.embedding_input import input_tokens
from janfs.engines.llama_cpp.ending import die_with, end_process
from janfs.engines.llama_cpp.grammar import STACK, gbnf_of
from janfs.engines.llama_cpp.limits import deepen_stacks
from janfs.engines.llama_cpp.loading import Loaded, load
from janfs.engines.llama_cpp.log import Log
from janfs.engines.llama_cpp.prompt import Prepared, chat_text, check_tokens, prepare
from janfs.engines.llama_cpp.scheduler import Scheduler
from janfs.engines.llama_cpp.waiting import waiting_of_this_process
from janfs.engines.protocol import ChatPrompt, EngineSettings, PlainText, Reply, SamplingParams
from janfs.errors import InvalidInput, JanfsError


class _Texts(NamedTuple):
    id: str
    texts: list[list[int]]
    param: str


class _Submit(NamedTuple):
    id: str
    sampling: SamplingParams
    prepared: Prepared
    stop: tuple[str, ...]
    caching: bool
    echo: Echo | None
    param: str


_Item = _Submit | _Texts | wire.Cancel | wire.Share | wire.Spare
"""What the thread that computes is told."""


class Worker:
    """Serves commands on one model until the channel closes. It writes, or makes vectors, or both."""

    def __init__(self, channel: Channel, loaded: Loaded, settings: EngineSettings) -> None:
        self._channel = channel
        self._weights, self._writing, self._pooled, self._chat, _, self._projector, self._form = loaded
        self._caching = settings.caching_enabled
        self._threads = settings.cpu_threads  # as somebody wants it to be
        n_parallel, continuous = settings.n_parallel, settings.cont_batching
        self._cancelled: set[str] = set()  # read, but not yet known to the scheduler
        self._scheduler: Scheduler | None = None
        if self._writing is not None:
            self._scheduler = Scheduler(
                self._writing, n_parallel=n_parallel, continuous=continuous, cancelled=self._cancelled
            )
        self._embeddings = EmbeddingQueue(self._pooled) if self._pooled is not None else None
        self._waiting = waiting_of_this_process()
        self._commands: queue.SimpleQueue[wire.Command] = queue.SimpleQueue()
        self._computing: queue.SimpleQueue[_Item] = queue.SimpleQueue()

    def run(self) -> None:
        """Never returns: the reader ends the process when the channel closes."""
        compute = threading.Thread(target=self._compute, name="compute", daemon=True)
        compute.start()
        self._computes_on = time.pthread_getcpuclockid(compute.ident or 0)
        threading.Thread(target=self._read, name="read", daemon=True).start()
        while True:
            command = self._commands.get()
            try:
                self._prepare(command)
            except JanfsError as error:
                self._channel.send([wire.failure(command.id, error)])

    def _read(self) -> None:
        while (frame := self._channel.receive()) is not None:
            command = wire.decode_command(frame)
            if isinstance(command, wire.Ping):
                self._end_if_stuck(command.patience)
                self._channel.send([wire.Pong()])
                continue
            if isinstance(command, wire.Cancel):
                self._cancelled.add(command.id)
                # A long prompt that nobody wants any more need not be computed to its end. Should another
                # request join that very batch, it is computed again: waste, but not a wrong answer.
                # What is not live yet, the scheduler finds among the cancelled before it decodes.
                if self._writing and self._scheduler and self._scheduler.unwanted:
                    self._writing.abort(True)
            self._commands.put(command)
        os._exit(0)

    def _end_if_stuck(self, patience: float) -> None:
        """A grammar can take for ever over one token, in C, where nothing can break it off."""
        since = self._scheduler.chooses_since if self._scheduler is not None else None
        if since is not None and time.clock_gettime(self._computes_on) - since > patience:
            print(f"no token that fits the grammar was found in {patience:g} seconds", file=sys.stderr)
            os._exit(1)

    def _prepare(self, command: wire.Command) -> None:
        match command:
            case wire.Generate(id_, request):
                if self._writing is None:
                    raise InvalidInput(
                        "This model makes vectors of texts; it cannot write any.", param="model"
                    )
                sampling = request.sampling
                form = gbnf_of(sampling) or self._form
                prepared = prepare(request.prompt, self._weights, self._chat, form, self._projector)
                sampling = msgspec.structs.replace(
                    sampling, grammar=prepared.grammar, json_schema=None, thoughts=prepared.thoughts
                )
                self._writing.check(sampling)
                stop = (*sampling.stop, *prepared.stop)
                caching = self._caching and request.cache_prompt
                echo = echo_of(request.prompt, prepared.tokens, self._weights) if request.echo else None
                param = "messages" if isinstance(request.prompt, ChatPrompt) else "prompt"
                self._computing.put(_Submit(id_, sampling, prepared, stop, caching, echo, param))
            case wire.Embed(id_, inputs):
                if self._pooled is None:
                    raise InvalidInput(
                        'This model writes text. With "embedding": true among the engine_parameters of its '
                        "model.json it makes embeddings too.",
                        param="model",
                    )
                pooling = self._pooled.pooling
                texts = [input_tokens(each, self._weights, pooling) for each in inputs]
                self._computing.put(_Texts(id_, texts, "documents" if pooling == "rank" else "input"))
            case wire.Cancel() | wire.Share() | wire.Spare():
                self._computing.put(command)
            case wire.Tokenize(id_, asked):
                if isinstance(asked, PlainText):
                    tokens = self._weights.tokenize(asked.text, whole=asked.whole, special=asked.special)
                else:
                    tokens = prepare(asked, self._weights, self._chat, None, self._projector).tokens
                self._channel.send([wire.Tokens(id_, tuple(tokens))])
            case wire.Spell(id_, given):
                known = check_tokens(given, self._weights.n_vocab, param="tokens")
                spelled = tuple(self._weights.piece(token, special=True) for token in known)
                self._channel.send([wire.Pieces(id_, spelled)])
            case wire.ApplyTemplate(id_, chat):
                self._channel.send([wire.Rendered(id_, chat_text(chat, self._chat))])

    def _compute(self) -> None:
        while True:
            while self._idle or not self._computing.empty():
                self._take(self._computing.get())
            events: list[wire.Event] = []
            writes = self._scheduler is not None and not self._scheduler.idle
            if self._writing and self._scheduler and writes:
                self._writing.abort(False)
                events += [_to_wire(request_id, reply) for request_id, reply in self._scheduler.step()]
            if self._embeddings:
                events += map(_to_vectors, self._embeddings.step(beside=writes))
            self._channel.send(events)
            self._waiting.computed()

    @property
    def _idle(self) -> bool:
        return all(line is None or line.idle for line in (self._scheduler, self._embeddings))

    def _take(self, item: _Item) -> None:
        try:
            match item:
                case wire.Cancel(id_):
                    for line in (self._scheduler, self._embeddings):
                        if line is not None:
                            line.cancel(id_)
                    self._cancelled.discard(id_)
                case wire.Share(engines) if self._threads is None:
                    for context in (self._writing, self._pooled):
                        if context is not None:
                            context.use_threads(fair_part(available_cores(), engines))
                case wire.Spare(id_):
                    freed = self._scheduler.spare() if self._scheduler else 0
                    give_back()
                    self._channel.send([wire.Spared(id_, freed)])
                case _Texts(id_, texts, param) if self._embeddings:
                    self._embeddings.submit(id_, texts, param=param)
                case _Submit() if self._scheduler:
                    tokens, _, read, shown, _, pictures, _ = item.prepared
                    self._scheduler.submit(
                        item.id,
                        tokens,
                        item.sampling,
                        item.stop,
                        caching=item.caching,
                        parts=PartStream(read) if read is not None else None,
                        shown=shown,
                        echo=item.echo,
                        pictures=pictures,
                        param=item.param,
                    )
        except JanfsError as error:
            self._channel.send([wire.failure(item.id, error)])


def main(arguments: Sequence[str]) -> None:
    """Load the model that the first frame names, then serve it."""
    descriptor, parent = map(int, arguments)
    die_with(parent)
    deepen_stacks(STACK)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches us too; the host decides
    faulthandler.enable()
    threading.excepthook = end_process
    channel = Channel(socket.socket(fileno=descriptor))
    if (frame := channel.receive()) is None:
        sys.exit(0)
    wanted, log = wire.decode_load(frame), Log()
    try:
        loaded = load(wanted, log)
    except JanfsError as error:
        channel.send([wire.failure("", error)])
        sys.exit(1)
    channel.send([wire.Ready(loaded.info)])
    Worker(channel, loaded, wanted.settings).run()


def _to_wire(request_id: str, reply: Reply | JanfsError) -> wire.Event:
    return (
        wire.failure(request_id, reply) if isinstance(reply, JanfsError) else wire.Answer(request_id, reply)
    )


def _to_vectors(embedded: Embedded) -> wire.Event:
    if isinstance(embedded.outcome, JanfsError):
        return wire.failure(embedded.request_id, embedded.outcome)
    return wire.Vectors(embedded.request_id, embedded.outcome)


if __name__ == "__main__":
    main(sys.argv[1:])
