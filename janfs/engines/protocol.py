"""What is said between the API and any engine: specs, requests, replies, states and facts.

Pure types, no I/O. A value that can be constructed is valid: ranges are checked in `__post_init__`.
"""

import math
from collections.abc import AsyncGenerator
from typing import Literal, Protocol

import msgspec

from janfs.errors import InvalidInput

MAX_STOP_STRINGS = 16
MAX_STOP_LENGTH = 1024  # characters; a stop string is matched against the tail of every delta
MAX_LOGPROBS = 20  # OpenAI's bound
MAX_PARALLEL = 256  # llama.cpp's LLAMA_MAX_SEQ

CacheType = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"]

Pooling = Literal["none", "mean", "cls", "last", "rank"]
"""How the vectors of a text's tokens become one; "rank" makes a score of how well a text answers another."""


def _within(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not (math.isfinite(value) and low <= value <= high):
        raise InvalidInput(f"{name} must be between {low} and {high}, not {value}.", param=name)


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a model is loaded. Names and meaning follow model.json's `engine_parameters`.

    `ctx_len` is the number of tokens that all parallel sequences share; 0 takes the trained length. Where
    `kv_unified` is False each of them has an equal part of these for itself; None: as suits those that run.
    `ngl` is the number of layers on the GPU, `cpu_threads` defaults to the physical cores, `n_batch` is
    the most tokens computed at once. Without `cont_batching` a request waits until the running ones end.
    Without `caching_enabled` every prompt is computed from its first token. With `embedding` a model that
    writes text gives embeddings too; those that were made for it always do. `pooling` None is the header's.
    A `prompt_template` (placeholders `{system_message}` and `{prompt}`) or one of the three prompts, where
    given, takes the place of the file's own chat template. `grammar_file` names a file of GBNF beside the
    model's, which binds answers to requests without a form of their own. Raises `InvalidInput` out of range.
    """

    ctx_len: int = 4096
    ngl: int = 100
    n_parallel: int = 4
    kv_unified: bool | None = None
    embedding: bool = False
    pooling: Pooling | None = None
    cont_batching: bool = True
    cpu_threads: int | None = None
    n_batch: int = 512
    caching_enabled: bool = True
    use_mmap: bool = True
    mlock: bool = False
    flash_attn: Literal["auto", "on", "off"] = "auto"
    cache_type: CacheType = "f16"
    prompt_template: str | None = None
    system_prompt: str | None = None
    user_prompt: str | None = None
    ai_prompt: str | None = None
    grammar_file: str | None = None

    def __post_init__(self) -> None:
        name = self.grammar_file
        if name is not None and (not 0 < len(name) < 256 or name in (".", "..") or set(name) & set("/\\\0")):
            raise InvalidInput(
                "grammar_file must be the name of a file in the model's folder.", param="grammar_file"
            )
        _within("ctx_len", self.ctx_len, 0, 2**27)
        _within("ngl", self.ngl, -1, 2**15)
        _within("n_parallel", self.n_parallel, 1, MAX_PARALLEL)
        _within("cpu_threads", self.cpu_threads, 1, 1024)
        _within("n_batch", self.n_batch, 1, 2**16)


class SpecPart(msgspec.Struct, frozen=True):
    """A file that a spec covers: its path below the root, what it is on disk, and digests, where known."""

    path: str
    size: int
    mtime_ns: int
    inode: int
    header_sha256: str | None = None
    sha256: str | None = None


class ModelShape(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of a model's header that its memory depends on, 0 for what it does not say.

    `weights` are the bytes of all files, `block_bytes` those of the repeated layers in them. `kv_elements`
    are those of one token's keys and values, `state_elements` those of one sequence's state, over all layers.
    """

    weights: int
    block_bytes: int = 0
    layers: int = 0
    kv_elements: int = 0
    state_elements: int = 0
    width: int = 0
    feed_forward: int = 0
    heads: int = 0
    vocabulary: int = 0
    trained_context: int = 0


Lowerable = Literal["ctx_len", "ngl"]


class RunSpec(msgspec.Struct, frozen=True, kw_only=True):
    """All that an engine needs to run a model.

    `path` is the absolute path of the GGUF (of its first shard, where it is split). Two specs with equal
    `fingerprint` are interchangeable: an engine started from one may serve the other. `parts` are all
    the files that it covers; engines have no need of them. `adapters` are the absolute paths of LoRAs,
    `projector` that of what makes images readable to the model.
    `shape` says what memory it takes, `lowerable` names the settings that nobody has asked for, which may be
    lowered to fit. A `pinned` model is not unloaded to make room or for being idle; others are after
    `keep_alive` seconds (None: as the pool does, negative: never). `grammar_stamp` tells the file of the
    setting `grammar_file` from what it was before: only who loads it reads it.
    """

    model_id: str
    uid: str
    engine: str
    path: str
    settings: EngineSettings
    fingerprint: str
    parts: tuple[SpecPart, ...] = ()
    adapters: tuple[str, ...] = ()
    projector: str | None = None
    shape: ModelShape | None = None
    lowerable: frozenset[Lowerable] = frozenset()
    pinned: bool = False
    keep_alive: float | None = None
    grammar_stamp: tuple[int, int, int] | None = None

    @property
    def version(self) -> str:
        """What is loaded anew when it changes."""
        return f"{self.fingerprint} {self.grammar_stamp or ''}"

    @property
    def attempt(self) -> str:
        """What is tried anew after it failed to load: also with a setting that may be lowered now."""
        return f"{self.version} {' '.join(sorted(self.lowerable))}"


class SamplingParams(msgspec.Struct, frozen=True, kw_only=True):
    """How the next token is chosen, and when to end. Raises `InvalidInput`, naming the field, out of range.

    `temperature` 0 is greedy. `top_k` 0 or -1 is off. `seed` None or -1 is a fresh one every time.
    `max_tokens` None goes on until the model ends or the context is full, 0 only computes the prompt.
    `frequency_penalty`, `presence_penalty` (OpenAI) and `repeat_penalty` (1 is off) look back `repeat_last_n`
    tokens (-1: the whole context). `typical_p` 1 is off; `dynatemp_range` 0 too, otherwise the temperature
    varies by so much with the entropy (to the power of `dynatemp_exponent`). `mirostat` 1 or 2 aims at a
    surprise of `mirostat_tau` at a rate of `mirostat_eta`, and takes the place of the top-something samplers,
    which leave `min_keep` tokens to choose from at least.
    `logit_bias` adds to tokens' logits. A `grammar` (GBNF) or a `json_schema` (its text) binds the answer.
    `logprobs` asks for the logarithms of the chosen tokens' probabilities, and so many of the likeliest.
    """

    temperature: float = 0.7
    top_p: float = 0.95
    top_k: int = 40
    min_p: float = 0.05
    seed: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repeat_penalty: float = 1.0
    repeat_last_n: int = 64
    ignore_eos: bool = False
    typical_p: float = 1.0
    min_keep: int = 0
    dynatemp_range: float = 0.0
    dynatemp_exponent: float = 1.0
    mirostat: int = 0
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    logit_bias: tuple[tuple[int, float], ...] = ()
    grammar: str | None = None
    json_schema: str | None = None
    logprobs: int | None = None

    def __post_init__(self) -> None:
        _within("temperature", self.temperature, 0, 2)
        _within("top_p", self.top_p, 0, 1)
        _within("top_k", self.top_k, -1, 2**31 - 1)
        _within("min_p", self.min_p, 0, 1)
        _within("seed", self.seed, -(2**63), 2**63 - 1)
        _within("max_tokens", self.max_tokens, 0, 2**31 - 1)
        _within("frequency_penalty", self.frequency_penalty, -2, 2)
        _within("presence_penalty", self.presence_penalty, -2, 2)
        _within("repeat_penalty", self.repeat_penalty, 0.1, 10)
        _within("repeat_last_n", self.repeat_last_n, -1, 2**20)
        _within("typical_p", self.typical_p, 0, 1)
        _within("min_keep", self.min_keep, 0, 2**20)
        _within("dynatemp_range", self.dynatemp_range, 0, 2)
        _within("dynatemp_exponent", self.dynatemp_exponent, 0, 10)
        _within("mirostat", self.mirostat, 0, 2)
        _within("mirostat_tau", self.mirostat_tau, 0, 100)
        _within("mirostat_eta", self.mirostat_eta, 0, 1)
        _within("logprobs", self.logprobs, 0, MAX_LOGPROBS)
        for _, bias in self.logit_bias:
            _within("logit_bias", bias, -100, 100)
        if self.ignore_eos and (self.grammar is not None or self.json_schema is not None):
            raise InvalidInput(
                "With a grammar the model must be able to end: no ignore_eos.", param="ignore_eos"
            )
        if len(self.stop) > MAX_STOP_STRINGS:
            raise InvalidInput(
                f"stop has {len(self.stop)} strings, at most {MAX_STOP_STRINGS} are allowed.", param="stop"
            )
        for text in self.stop:
            if not 0 < len(text) <= MAX_STOP_LENGTH:
                raise InvalidInput(
                    f"A stop string must have 1 to {MAX_STOP_LENGTH} characters, one has {len(text)}.",
                    param="stop",
                )


class Tool(msgspec.Struct, frozen=True):
    """What a model may call. `parameters` is the text of the JSON Schema of its arguments, an object.

    Arguments fit it where a call is required, and those of a `strict` tool always.
    """

    name: str
    description: str | None = None
    parameters: str = '{"type": "object"}'
    strict: bool = False


class ToolCall(msgspec.Struct, frozen=True):
    """A call that a model made; `arguments` is JSON text."""

    id: str
    name: str
    arguments: str


class Image(msgspec.Struct, frozen=True):
    """A PNG, JPEG, GIF or BMP that stands `at` a character of a message; `place` is where it was sent."""

    at: int
    data: bytes
    place: str


class ChatMessage(msgspec.Struct, frozen=True):
    """One message of a chat. `role` is usually system, user, assistant or tool; the chat template decides.

    An assistant's message may hold calls and the `reasoning` before them; a tool's answers `tool_call_id`.
    """

    role: str
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    reasoning: str | None = None
    images: tuple[Image, ...] = ()


class TextPrompt(msgspec.Struct, frozen=True, tag="text"):
    """A raw prompt. The beginning-of-text token is added if the model wants one; nothing else is."""

    text: str


class TokenPrompt(msgspec.Struct, frozen=True, tag="tokens"):
    """A prompt of token ids, computed as it stands."""

    tokens: tuple[int, ...]


class ChatPrompt(msgspec.Struct, frozen=True, tag="chat"):
    """Messages, to be put through the model's chat template. A last one of the assistant's is gone on with.

    It is in the thoughts of that, where it has no words. One that stands alone is a turn like any other.
    Raises `InvalidInput` where there is none. The model may call the `tools`; with `must_call` it has to, and
    with `parallel` more than once. It may think for `most_thought` tokens (None: as long as it wants), if it
    is of those that think at all.
    """

    messages: tuple[ChatMessage, ...]
    tools: tuple[Tool, ...] = ()
    must_call: bool = False
    parallel: bool = True
    most_thought: int | None = None

    def __post_init__(self) -> None:
        if not self.messages:
            raise InvalidInput("'messages' has none: a chat needs at least one.", param="messages")


Prompt = TextPrompt | TokenPrompt | ChatPrompt


class PlainText(msgspec.Struct, frozen=True, tag="plain"):
    """A text to be told in tokens, and no prompt: nothing is added to it.

    Unless it is a `whole` one, which begins and ends as the vocabulary wants it. What spells a special token
    is one, unless those are not `special`.
    """

    text: str
    whole: bool = False
    special: bool = True


class PairPrompt(msgspec.Struct, frozen=True, tag="pair"):
    """A question and a text that may answer it, for a model that ranks: its score is a vector of length 1."""

    query: str
    document: str


Embeddable = TextPrompt | TokenPrompt | PairPrompt
"""What becomes a vector. A text begins and ends with the tokens that the model wants there."""


class Embedding(msgspec.Struct, frozen=True):
    """A text's vector as the model gives it, 32-bit floats, little-endian; and how many tokens it took."""

    vector: bytes
    n_tokens: int


class GenerateRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request for one completion. `request_id` names it to people; it need not be unique.

    Without `cache_prompt` all of the prompt is computed anew, and nothing of it is kept for others.
    With `echo` the answer begins with the prompt, with the logprobs of its tokens if those are asked for.
    """

    request_id: str
    prompt: Prompt
    sampling: SamplingParams = SamplingParams()
    cache_prompt: bool = True
    echo: bool = False


class Usage(msgspec.Struct, frozen=True):
    """Counts in tokens. The token that ended the answer is not in `completion_tokens`.

    `cached_tokens` are those of the prompt that were computed already, for a request before this one, and
    `reasoning_tokens` those of the completion that came before the first word of the answer, or its first
    call, where a thought did.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0


class Likely(msgspec.Struct, frozen=True, gc=False):
    """A token, its bytes (of a special token how it is spelled), and the logarithm of its probability."""

    token: int
    text: bytes
    logprob: float


class TokenLogprob(msgspec.Struct, frozen=True):
    """A token that was chosen, as `Likely` has it, and the `top` likeliest, the first one first.

    The first token of a prompt follows nothing, so it has no `logprob`.
    """

    token: int
    text: bytes
    logprob: float | None
    top: tuple[Likely, ...] = ()


class TextDelta(msgspec.Struct, frozen=True, omit_defaults=True, tag="delta"):
    """The next piece of the answer: never empty, always whole characters.

    `logprobs` are there if asked for: of the tokens since the last piece, up to the one that completed this.
    The first reply to a request has its `usage` so far, where that is known: what the prompt took. What came
    in quick succession may be told together, as so many `pieces`.
    """

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()
    usage: Usage | None = None
    pieces: int = 1


class ReasoningDelta(msgspec.Struct, frozen=True, omit_defaults=True, tag="reasoning"):
    """The next piece of what the model thinks before it answers; never empty. All else as of `TextDelta`."""

    text: str
    usage: Usage | None = None
    pieces: int = 1


class CallDelta(msgspec.Struct, frozen=True, omit_defaults=True, tag="call"):
    """The beginning of the answer's call number `index`, with a `name`, or more of its arguments' JSON.

    `usage` and `pieces` as of `TextDelta`.
    """

    index: int
    name: str | None = None
    arguments: str = ""
    usage: Usage | None = None
    pieces: int = 1


class Spent(msgspec.Struct, frozen=True):
    """Seconds: from where a request began to be computed to its first token, and from there to its end."""

    prompt: float = 0.0
    answer: float = 0.0


FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """The last reply of a request.

    "stop": the model or a stop string ended it; "tool_calls": it ended with a call; "length": a limit did;
    "content_filter": so did a filter, which there are elsewhere. A stop string within a call is a "stop".
    `logprobs` are those of tokens that gave no text. `stop_string` is the one that ended it, if one did.
    """

    finish_reason: FinishReason
    usage: Usage
    logprobs: tuple[TokenLogprob, ...] = ()
    stop_string: str | None = None
    spent: Spent = Spent()


Reply = TextDelta | ReasoningDelta | CallDelta | Finished


class EngineInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a loaded engine says of itself. `n_ctx` is in tokens, `load_seconds` is from spawn to ready.

    `grammar` is the `grammar_file` that it has read, by its name.
    """

    pid: int
    load_seconds: float
    n_ctx: int
    n_ctx_train: int
    n_parallel: int
    n_vocab: int
    n_params: int
    description: str
    grammar: SpecPart | None = None


class EngineExit(msgspec.Struct, frozen=True, kw_only=True):
    """How an engine's process ended, with the last lines of its stderr. One of `code`, `signal` is set."""

    code: int | None
    signal: str | None
    stderr_tail: tuple[str, ...] = ()


class Engine(Protocol):
    """A loaded model. Made by an `EngineFactory`, used by one event loop."""

    @property
    def info(self) -> EngineInfo: ...

    def generate(self, request: GenerateRequest) -> AsyncGenerator[Reply]:
        """Deltas, then one `Finished`. Closing the iterator cancels the request.

        Raises `ContextExceeded` or `InvalidInput` before the first reply, `EngineError` at any time,
        `WorkerCrashed` if the engine dies.
        """
        ...

    async def embed(self, inputs: tuple[Embeddable, ...]) -> tuple[Embedding, ...]:
        """A vector for each input, at least one, in their order. Cancelling it ends the computing.

        Raises `ContextExceeded` for an input that is too long, `InvalidInput` where the model makes no
        vectors, or not of such inputs, and as `generate` does.
        """
        ...

    async def tokenize(self, prompt: Prompt | PlainText, *, to_answer: bool = False) -> tuple[int, ...]:
        """The tokens that `generate` would compute for this prompt, or those of a text.

        Of a prompt `to_answer` it raises what `generate` would raise of it.
        """
        ...

    async def pieces(self, tokens: tuple[int, ...]) -> tuple[bytes, ...]:
        """What each token stands for, special ones spelled out; it may be a part of a character.

        Raises `InvalidInput` for one that is not in the vocabulary.
        """
        ...

    async def apply_template(self, prompt: ChatPrompt) -> str:
        """The text that `generate` would compute for a chat. Raises `InvalidInput` if the template does."""
        ...

    async def spare(self) -> int:
        """Give up memory that only serves to be faster; how many bytes. Raises `EngineError`."""
        ...

    def share(self, engines: int) -> None:
        """Take a fair part of the machine: so many engines compute at once, with this one if it does."""
        ...

    async def worn(self) -> None:
        """Wait until a fresh one should take its place, though it answers those who have it."""
        ...

    async def wait(self) -> EngineExit:
        """Wait until the engine has ended, for whatever reason."""
        ...

    async def close(self, grace: float, reason: str) -> None:
        """End: live requests have `grace` seconds to finish, then fail with `EngineError(reason)`.

        Called once more with less meanwhile, it takes no longer than that.
        """
        ...


class EngineFactory(Protocol):
    async def __call__(self, spec: RunSpec) -> Engine:
        """Load a model. Raises `LoadFailed` with the engine's own words. Cancelling ends the load."""
        ...


class EngineStarted(msgspec.Struct, frozen=True, kw_only=True, tag="started"):
    """A model was loaded and is ready."""

    spec: RunSpec
    load_seconds: float
    pid: int

    @property
    def uid(self) -> str:
        """The model's."""
        return self.spec.uid

    @property
    def fingerprint(self) -> str:
        """That of what was loaded."""
        return self.spec.fingerprint


class EngineStopped(msgspec.Struct, frozen=True, kw_only=True, tag="stopped"):
    """A model was unloaded on purpose."""

    uid: str
    fingerprint: str
    reason: str


class EngineStartFailed(msgspec.Struct, frozen=True, kw_only=True, tag="start-failed"):
    """A model could not be loaded."""

    uid: str
    fingerprint: str
    reason: str


class EngineCrashed(msgspec.Struct, frozen=True, kw_only=True, tag="crashed"):
    """A loaded model's process died, and `requests` with it: a number."""

    uid: str
    fingerprint: str
    requests: int
    exit: EngineExit


EngineFact = EngineStarted | EngineStopped | EngineStartFailed | EngineCrashed


class EngineState(msgspec.Struct, frozen=True, kw_only=True):
    """What a model is doing now. `since` is in Unix seconds, None for a model that was never started.

    `fingerprint` is that of what is loaded, `wanted` that of what was asked for, before it was lowered.
    `active` requests run, `waiting` ones wait for the load. `info` is there while loaded. `memory` is what it
    takes by estimate, in bytes, `lowered` has the settings that are lower than wanted, so that it fits.
    `last_used` and `unloads_at` (if nobody comes) are in Unix seconds, `tokens_per_second` are those of the
    last ten seconds, over all answers.
    """

    state: Literal["stopped", "loading", "running", "stopping", "failed"]
    reason: str | None = None
    since: float | None = None
    active: int = 0
    waiting: int = 0
    fingerprint: str | None = None
    wanted: str | None = None
    info: EngineInfo | None = None
    memory: int = 0
    lowered: dict[str, int] = {}
    last_used: float | None = None
    unloads_at: float | None = None
    pinned: bool = False
    tokens_per_second: float = 0.0


def describe_exit(end: EngineExit) -> str:
    """One line for a person: how a process ended, and the last thing it said."""
    how = f"was killed by {end.signal}" if end.signal else f"exited with code {end.code}"
    return f"{how}: {end.stderr_tail[-1]}" if end.stderr_tail else how
