"""The process that holds one model: `python -m janfs.engines.llama_cpp.worker <socket> <parent's pid>`.

Three threads. One reads commands from the socket. The main thread turns prompts into tokens, since it alone
can put a time limit on a template. One computes: it owns the scheduler and the context. Whatever goes wrong
beyond a request ends the process; the host tells its requests.
"""

import ctypes
import faulthandler
import os
import queue
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from janfs.engines.llama_cpp import wire
from janfs.engines.llama_cpp.chat import ChatFormat, chat_format
from janfs.engines.llama_cpp.cores import available_cores
from janfs.engines.llama_cpp.dialects.stream import PartStream
from janfs.engines.llama_cpp.native import Log, NativeModel
from janfs.engines.llama_cpp.prompt import Prepared, prepare
from janfs.engines.llama_cpp.scheduler import Scheduler
from janfs.engines.protocol import EngineInfo, EngineSettings, Reply, SamplingParams
from janfs.errors import InvalidInput, JanfsError

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Channel:
    """The socket to the host, blocking. Sending is for any thread, receiving for one."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def receive(self) -> bytes | None:
        """The next frame; None when the host is gone or has closed."""
        header = self._exactly(wire.HEADER.size)
        return self._exactly(wire.HEADER.unpack(header)[0]) if header else None

    def send(self, events: Sequence[wire.Event]) -> None:
        """Send events together. A host that is gone ends the process."""
        if not events:
            return
        try:
            with self._lock:
                self._connection.sendall(wire.encode_events(events))
        except (BrokenPipeError, ConnectionResetError):
            os._exit(0)

    def _exactly(self, size: int) -> bytes | None:
        data = bytearray()
        while len(data) < size:
            try:
                part = self._connection.recv(min(size - len(data), 2**20))
            except ConnectionResetError:
                return None
            if not part:
                return None
            data += part
        return bytes(data)


class _Submit(NamedTuple):
    id: str
    sampling: SamplingParams
    prepared: Prepared
    stop: tuple[str, ...]
    caching: bool


class Worker:
    """Serves commands on one model until the channel closes."""

    def __init__(
        self, channel: Channel, model: NativeModel, chat: ChatFormat, settings: EngineSettings
    ) -> None:
        self._channel = channel
        self._model = model
        self._chat = chat
        self._embedding = settings.embedding
        self._caching = settings.caching_enabled
        self._scheduler = Scheduler(model, n_parallel=settings.n_parallel, continuous=settings.cont_batching)
        self._commands: queue.SimpleQueue[wire.Command] = queue.SimpleQueue()
        self._computing: queue.SimpleQueue[_Submit | wire.Cancel] = queue.SimpleQueue()
        self._cancelled: set[str] = set()  # read, but not yet known to the scheduler

    def run(self) -> None:
        """Never returns: the reader ends the process when the channel closes."""
        threading.Thread(target=self._read, name="read", daemon=True).start()
        threading.Thread(target=self._compute, name="compute", daemon=True).start()
        while True:
            command = self._commands.get()
            try:
                self._prepare(command)
            except JanfsError as error:
                self._channel.send([wire.failure(command.id, error)])

    def _read(self) -> None:
        while (frame := self._channel.receive()) is not None:
            command = wire.decode_command(frame)
            if isinstance(command, wire.Cancel):
                self._cancelled.add(command.id)
                # A long prompt that nobody wants any more need not be computed to its end. Should another
                # request join that very batch, it is computed again: waste, but not a wrong answer.
                live = self._scheduler.live
                if live and live <= self._cancelled:
                    self._model.abort(True)
            self._commands.put(command)
        os._exit(0)

    def _prepare(self, command: wire.Command) -> None:
        match command:
            case wire.Generate(id_, request):
                if self._embedding:
                    raise InvalidInput("This model makes embeddings; it cannot write text.", param="model")
                prepared, sampling = prepare(request.prompt, self._model, self._chat), request.sampling
                if prepared.grammar is not None:
                    sampling = msgspec.structs.replace(sampling, grammar=prepared.grammar)
                self._model.check(sampling)
                stop = (*sampling.stop, *prepared.stop)
                caching = self._caching and request.cache_prompt
                self._computing.put(_Submit(id_, sampling, prepared, stop, caching))
            case wire.Cancel():
                self._computing.put(command)
            case wire.Tokenize(id_, prompt):
                tokens = prepare(prompt, self._model, self._chat).tokens
                self._channel.send([wire.Tokens(id_, tuple(tokens))])
            case wire.ApplyTemplate(id_, messages):
                self._channel.send([wire.Rendered(id_, self._chat.render(messages))])

    def _compute(self) -> None:
        while True:
            while self._scheduler.idle or not self._computing.empty():
                self._take(self._computing.get())
            self._model.abort(False)
            events = self._scheduler.step()
            self._channel.send([_to_wire(request_id, reply) for request_id, reply in events])

    def _take(self, item: _Submit | wire.Cancel) -> None:
        if isinstance(item, wire.Cancel):
            self._scheduler.cancel(item.id)
            self._cancelled.discard(item.id)
            return
        try:
            tokens, _, read, shown, _ = item.prepared
            self._scheduler.submit(
                item.id,
                tokens,
                item.sampling,
                item.stop,
                caching=item.caching,
                parts=PartStream(read) if read is not None else None,
                shown=shown,
            )
        except JanfsError as error:
            self._channel.send([wire.failure(item.id, error)])


def main(arguments: Sequence[str]) -> None:
    """Load the model that the first frame names, then serve it."""
    began = time.monotonic()
    descriptor, parent = map(int, arguments)
    _die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches us too; the host decides
    faulthandler.enable()
    threading.excepthook = _end_process
    channel = Channel(socket.socket(fileno=descriptor))
    frame = channel.receive()
    if frame is None:
        sys.exit(0)
    load, log = wire.decode_load(frame), Log()
    settings = load.settings
    try:
        model = NativeModel(load.path, settings, settings.cpu_threads or available_cores(), log)
        model.adapt(load.adapters)
        bos, eos = model.special_text(model.bos), model.special_text(model.eos)
        chat = chat_format(settings, model.chat_template, bos, eos)
    except JanfsError as error:
        channel.send([wire.failure("", error)])
        sys.exit(1)
    info = EngineInfo(
        pid=os.getpid(),
        load_seconds=time.monotonic() - began,
        n_ctx=model.n_ctx,
        n_ctx_train=model.n_ctx_train,
        n_parallel=settings.n_parallel,
        n_vocab=model.n_vocab,
        n_params=model.n_params,
        description=model.description,
    )
    channel.send([wire.Ready(info)])
    Worker(channel, model, chat, settings).run()


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when the host dies, however it dies. See prctl(2)."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # it died before we asked
        sys.exit(0)


def _end_process(failure: threading.ExceptHookArgs) -> None:
    """A thread that fails would leave requests without an answer: end the process instead."""
    traceback.print_exception(failure.exc_type, failure.exc_value, failure.exc_traceback)
    sys.stderr.flush()
    os._exit(70)


def _to_wire(request_id: str, reply: Reply | JanfsError) -> wire.Event:
    return (
        wire.failure(request_id, reply) if isinstance(reply, JanfsError) else wire.Answer(request_id, reply)
    )


if __name__ == "__main__":
    main(sys.argv[1:])
