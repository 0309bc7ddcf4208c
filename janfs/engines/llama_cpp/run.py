"""One request while it is answered: its tokens, its text, and what each new token means for it."""

from typing import Protocol

import msgspec
from msgspec.structs import replace

from janfs.engines.llama_cpp.choice import Chosen
from janfs.engines.llama_cpp.dialects.stream import Part, PartStream
from janfs.engines.llama_cpp.echo import Echo
from janfs.engines.llama_cpp.guidance import UNGUIDED, Guidance
from janfs.engines.llama_cpp.pictures import Picture
from janfs.engines.llama_cpp.text import TextStream
from janfs.engines.protocol import (
    Finished,
    FinishReason,
    Reply,
    SamplingParams,
    Spent,
    TextDelta,
    TokenLogprob,
    Usage,
)


class Sampler(Protocol):
    """Chooses tokens for one request and remembers those it chose."""

    def sample(self, index: int) -> Chosen:
        """The next token, from the logits of the last decode's entry `index`.

        Raises `InvalidInput` where none fits what was asked for.
        """
        ...

    def close(self) -> None: ...


class Run(msgspec.Struct, eq=False):
    """A request that was not answered to its end yet. It has a sequence while it is `live`.

    `leader` is an older one whose prompt begins with the same `shared` tokens: they are its to compute.
    """

    request_id: str
    tokens: list[int]  # the prompt, then what was generated
    n_prompt: int
    sampling: SamplingParams
    text: TextStream
    caching: bool = True
    sampler: Sampler | None = None
    seq: int = -1
    n_base: int = 0  # of its tokens, those that were known when it became live, without the last
    n_thought: int = 0  # of what was generated, what came with a thought and before anything else
    began: float | None = None  # when it became live for the first time, in seconds of the scheduler's clock
    first: float | None = None  # when its first token was chosen
    slow: bool = False  # its last token was chosen slowly
    n_cached: int | None = None  # of its prompt, those that were computed before it came; None: not known yet
    leader: "Run | None" = None
    shared: int = 0
    common: int | None = None  # tokens that an older one had, too, when both first ran or came next
    logprobs: tuple[TokenLogprob, ...] = ()  # of tokens whose text is held back
    parts: PartStream | None = None  # tells thoughts and calls from words, where there may be some
    pictures: tuple[Picture, ...] = ()  # in the prompt, in order
    shown: frozenset[int] = frozenset()  # special tokens that it has to see
    guidance: Guidance = UNGUIDED
    echo: Echo | None = None  # what is still to be told before the answer
    answered: bool = False  # whether there was a reply
    prompt_logprobs: list[TokenLogprob] = []  # of the prompt's tokens from the second on, as far as known

    @property
    def live(self) -> bool:
        return self.seq >= 0

    def picture_at(self, at: int) -> Picture | None:
        """The image that a place belongs to; None where there is none."""
        return next((each for each in self.pictures if each.start <= at < each.end), None)

    def words_from(self, at: int) -> int:
        """How many tokens stand from a place up to the next image."""
        ends = len(self.tokens)
        if self.pictures:
            ends = next((each.start for each in self.pictures if at < each.end), ends)
        return max(0, ends - at)

    @property
    def n_generated(self) -> int:
        return len(self.tokens) - self.n_prompt

    @property
    def base(self) -> list[int]:
        """What may be had from others, and given to them, before the next token is sampled."""
        return self.tokens[: self.n_base]

    @property
    def scores(self) -> bool:
        """Whether the logprobs of its prompt are asked for."""
        return self.echo is not None and self.sampling.logprobs is not None

    def is_scored(self, place: int) -> bool:
        """Whether what is computed at a place says how likely a token of the prompt was."""
        return self.scores and len(self.prompt_logprobs) <= place < self.n_prompt - 1

    def needs_logits(self, place: int) -> bool:
        """Whether the logits of what is computed at a place are looked at."""
        samples = place == len(self.tokens) - 1 and self.sampling.max_tokens != 0
        return samples or self.is_scored(place)

    def tell_prompt(self, echo: Echo, first: bytes) -> list[Reply]:
        """The reply that the prompt is, told once; `first` is how its first token is spelled."""
        if self.scores:
            alone = () if echo.n_added else (TokenLogprob(self.tokens[0], first, None),)
            self.logprobs = (*alone, *self.prompt_logprobs)
        self.echo = None
        if not echo.text:
            return []
        logprobs, self.logprobs = self.logprobs, ()
        return [TextDelta(echo.text, logprobs)]

    @property
    def usage(self) -> Usage:
        """Its counts so far."""
        return Usage(self.n_prompt, self.n_generated, self.n_cached or 0, self.n_thought)

    def counted(self, replies: list[Reply]) -> list[Reply]:
        """The same replies; the first one of all says what the prompt took."""
        if self.answered or not replies:
            return replies
        self.answered = True
        first, *others = replies
        return replies if isinstance(first, Finished) else [replace(first, usage=self.usage), *others]

    def end_unsampled(self, now: float) -> list[Reply]:
        """The end of a request for nothing but its prompt."""
        return self._end("length", now)

    def take(
        self, token: int, piece: bytes, logprob: TokenLogprob | None, *, ends: bool, n_ctx: int, now: float
    ) -> list[Reply]:
        """The replies that a new token gives; with a `Finished` the request has ended.

        `ends` says that the model ends its answer with this token, which then is no part of it.
        """
        if self.first is None:
            self.first = now
        if ends and not self.sampling.ignore_eos:
            return self._end("stop", now)
        self.tokens.append(token)
        self.logprobs += (logprob,) if logprob is not None else ()
        replies = self._tell(self.text.feed(piece))
        if self.text.stopped:
            return replies + self._end("stop", now)
        if self.n_generated == self.sampling.max_tokens or len(self.tokens) >= n_ctx:
            return replies + self._end("length", now)
        return replies

    def _tell(self, text: str, *, last: bool = False) -> list[Reply]:
        """The replies that a piece of text gives. Logprobs go with the words that their tokens led to.

        Of thoughts and calls, and of what marks them, none are told.
        """
        parts: list[Part] = [TextDelta(text)] if text else []
        if self.parts is not None:
            parts = self.parts.feed(text) if text else []
            parts += self.parts.finish() if last else []
            if self.parts.only_thought:
                self.n_thought = self.n_generated
        for place, part in enumerate(parts):
            if isinstance(part, TextDelta) and self.logprobs:
                own = self.logprobs if self.parts is None else _from(self.logprobs, part.text)
                parts[place], self.logprobs = TextDelta(part.text, own), ()
        if any(not isinstance(part, TextDelta) for part in parts):
            self.logprobs = ()
        return list(parts)

    def _end(self, reason: FinishReason, now: float) -> list[Reply]:
        replies = self._tell(self.text.finish(), last=True)
        stopped, parts = self.text.stopped, self.parts
        called = parts is not None and parts.called
        if stopped:
            reason = "stop"
        # Within a call a stop string ends an answer that has not come to its call.
        if reason == "stop" and called and not (stopped and parts is not None and parts.cut_off):
            reason = "tool_calls"
        # Of a stop string nothing is shown, and neither are its tokens; nor those of the end of a call.
        left = () if stopped or called else self.logprobs
        first = now if self.first is None else self.first
        spent = Spent(first - (first if self.began is None else self.began), now - first)
        return [*replies, Finished(reason, self.usage, left, self.text.found, spent)]


def _from(logprobs: tuple[TokenLogprob, ...], text: str) -> tuple[TokenLogprob, ...]:
    """Those from the token on with which a text begins; what came before marked a thought or a call."""
    spelled = b"".join(each.text for each in logprobs)
    begins, end = spelled.rfind(text.encode()), 0
    for number, each in enumerate(logprobs):
        end += len(each.text)
        if end > begins:
            return logprobs[number:]
    return logprobs
