"""The process that holds one model: `python -m janfs.engines.llama_cpp.worker <socket> <parent's pid>`.

Three threads. One reads commands from the socket. The main thread turns prompts into tokens, since it alone
can put a time limit on a template. One computes: it owns the scheduler and the context. Whatever goes wrong
beyond a request ends the process; the host tells its requests.
"""

import faulthandler
import itertools
import os
import queue
import signal
import socket
import sys
import threading
import traceback
from collections import deque
from collections.abc import Sequence

from janfs.engines.free_memory import give_back
from janfs.engines.llama_cpp import wire
from janfs.engines.llama_cpp.ahead import LULL, SILENCE, WORTH, Turn, Turns
from janfs.engines.llama_cpp.channel import Channel
from janfs.engines.llama_cpp.cores import available_cores, fair_part
from janfs.engines.llama_cpp.dialects.stream import PartStream
from janfs.engines.llama_cpp.embedding import EmbeddingQueue
from janfs.engines.llama_cpp.ending import die_with, end_process
from janfs.engines.llama_cpp.gathering import Gathering
from janfs.engines.llama_cpp.grammar import STACK
from janfs.engines.llama_cpp.intake import Intake, Item, Texts, Writing
from janfs.engines.llama_cpp.limits import deepen_stacks
from janfs.engines.llama_cpp.loading import Loaded, load
from janfs.engines.llama_cpp.log import Log
from janfs.engines.llama_cpp.scheduler import Scheduler
from janfs.engines.llama_cpp.waiting import waiting_of_this_process
from janfs.engines.llama_cpp.wear import Wear
from janfs.engines.protocol import EngineSettings
from janfs.errors import EngineError, JanfsError


class Worker:
    """Serves commands on one model until the channel closes. It writes, or makes vectors, or both."""

    def __init__(self, channel: Channel, loaded: Loaded, settings: EngineSettings) -> None:
        self._channel = channel
        self._writing, self._pooled = loaded.writing, loaded.pooled
        self._intake = Intake(loaded, caching=settings.caching_enabled)
        self._threads = settings.cpu_threads  # as somebody wants it to be
        n_parallel, continuous = settings.n_parallel, settings.cont_batching
        self._others = 0  # engines of other models that compute
        self._cancelled: set[str] = set()  # read, but not yet known to the scheduler
        self._scheduler: Scheduler | None = None
        if self._writing is not None:
            self._scheduler = Scheduler(
                self._writing, n_parallel=n_parallel, continuous=continuous, cancelled=self._cancelled
            )
        self._embeddings = EmbeddingQueue(self._pooled) if self._pooled is not None else None
        self._waiting = waiting_of_this_process()
        self._wear = Wear(loaded.left_behind)
        self._gathering = Gathering()
        self._turns = Turns()
        self._ended: deque[Turn] = deque(maxlen=n_parallel)  # chats whose next turn may be begun
        self._ahead: set[str] = set()  # what is computed without being asked for
        self._n_parallel = n_parallel
        self._lulls = 0  # to be used for tidying up: after a step one for each that may have ended
        self._counting = itertools.count()
        self._commands: queue.SimpleQueue[wire.Command | Turn] = queue.SimpleQueue()
        self._computing: queue.SimpleQueue[Item] = queue.SimpleQueue()

    def run(self) -> None:
        """Never returns: the reader ends the process when the channel closes."""
        threading.Thread(target=self._compute, name="compute", daemon=True).start()
        threading.Thread(target=self._read, name="read", daemon=True).start()
        while True:
            self._prepare(self._next())

    def _read(self) -> None:
        while (frame := self._channel.receive()) is not None:
            match command := wire.decode_command(frame):
                case wire.Ping():
                    self._channel.send([wire.Pong()])
                    continue
                case wire.Cancel(id_):
                    self._give_up(id_)
                case wire.Generate() | wire.Embed():  # who asks goes before what nobody has asked for
                    for id_ in tuple(self._ahead):
                        self._give_up(id_)
                        self._commands.put(wire.Cancel(id_))
            self._commands.put(command)
        os._exit(0)

    def _give_up(self, request_id: str) -> None:
        """Break off what is computed if that was for this request alone."""
        self._cancelled.add(request_id)
        # A long prompt that nobody wants any more need not be computed to its end. Should another
        # request join that very batch, it is computed again: waste, but not a wrong answer.
        # What is not live yet, the scheduler finds among the cancelled before it decodes.
        if self._writing and self._scheduler and self._scheduler.unwanted:
            self._writing.abort(True)

    def _next(self) -> wire.Command:
        """The next command. In the silence after an answer what will follow on it is begun."""
        while True:
            try:
                heard = self._commands.get(timeout=SILENCE if self._ended else None)
            except queue.Empty:
                if self._idle and not self._others:
                    self._go_ahead(self._ended.pop())
                continue
            if not isinstance(heard, Turn):
                return heard
            self._ended.append(heard)

    def _go_ahead(self, turn: Turn) -> None:
        item = self._intake.ahead(f"ahead {next(self._counting)}", turn)
        if item is not None and self._commands.empty():
            self._ahead.add(item.id)
            self._computing.put(item)

    def _prepare(self, command: wire.Command) -> None:
        if isinstance(command, wire.Generate | wire.Embed) and command.id in self._cancelled:
            return
        try:
            made = self._intake.take(command)
        except JanfsError as error:
            self._channel.send([wire.failure(command.id, error), *self._wear.told()])
        except MemoryError:
            raise  # a fresh worker has more
        except Exception as error:  # noqa: BLE001  # a defect here costs one request, not all that run
            traceback.print_exc()
            told = EngineError(f"The request could not be prepared: {type(error).__name__}: {error}.")
            self._channel.send([wire.failure(command.id, told)])
        else:
            if isinstance(made, Item):
                self._computing.put(made)
            else:
                self._channel.send([made])

    def _compute(self) -> None:
        while True:
            while self._idle or not self._computing.empty():
                self._take_next()
            events: list[wire.Event] = []
            turns: list[Turn] = []
            writes = self._scheduler is not None and not self._scheduler.idle
            if self._writing and self._scheduler and writes:
                embeds = self._embeddings is not None and not self._embeddings.idle
                if self._gathering.holds and (embeds or not self._scheduler.steady):
                    self._channel.send([wire.answer(*each) for each in self._gathering.all()])
                self._writing.abort(False)
                self._lulls = self._n_parallel
                for event in self._scheduler.step():
                    if event.request_id in self._ahead:
                        self._ahead.discard(event.request_id)
                        continue
                    self._gathering.add(event)
                    if (turn := self._turns.hear(*event)) is not None:
                        turns.append(turn)
                events += [wire.answer(*each) for each in self._gathering.due()]
            if self._embeddings:
                events += [wire.vectors(*each) for each in self._embeddings.step(beside=writes)]
            self._channel.send([*events, *self._wear.told()])
            for turn in turns:
                self._commands.put(turn)
            self._waiting.computed()

    @property
    def _idle(self) -> bool:
        return all(line is None or line.idle for line in (self._scheduler, self._embeddings))

    def _take_next(self) -> None:
        """Wait for what is to be computed. In a lull the scheduler tidies up, a little at a time."""
        try:
            self._take(self._computing.get(timeout=LULL if self._lulls else None))
        except queue.Empty:
            tidied = self._scheduler is not None and self._scheduler.tidy()
            self._lulls = self._lulls - 1 if tidied else 0

    def _take(self, item: Item) -> None:
        try:
            match item:
                case wire.Cancel(id_):
                    for line in (self._scheduler, self._embeddings):
                        if line is not None:
                            line.cancel(id_)
                    self._cancelled.discard(id_)
                    self._ahead.discard(id_)
                    self._gathering.forget(id_)
                    self._turns.forget(id_)
                case wire.Share(engines):
                    self._others = engines - 1
                    for context in (self._writing, self._pooled):
                        if context is not None and self._threads is None:
                            context.use_threads(fair_part(available_cores(), engines))
                case wire.Spare(id_):
                    freed = self._scheduler.spare() if self._scheduler else 0
                    self._lulls = 0  # or what was given up were copied again
                    give_back()
                    self._channel.send([wire.Spared(id_, freed)])
                case Texts(id_, texts, param) if self._embeddings:
                    self._embeddings.submit(id_, texts, param=param)
                case Writing() if self._scheduler:
                    made = item.prepared
                    if item.id in self._ahead and self._scheduler.lacking(made.tokens) not in WORTH:
                        self._ahead.discard(item.id)
                        return
                    self._scheduler.submit(
                        item.id,
                        made.tokens,
                        item.sampling,
                        item.stop,
                        caching=item.caching,
                        parts=PartStream(made.read, made.begun) if made.read is not None else None,
                        shown=made.shown,
                        guidance=made.guidance,
                        echo=item.echo,
                        pictures=made.pictures,
                        param=item.param,
                    )
                    if item.chat is not None:
                        self._turns.begin(item.id, item.chat)
        except JanfsError as error:
            if item.id not in self._ahead:
                self._channel.send([wire.failure(item.id, error)])
            self._ahead.discard(item.id)


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


if __name__ == "__main__":
    main(sys.argv[1:])
