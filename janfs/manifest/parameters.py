"""The known engine and model parameters: types, ranges and built-in defaults. The one place for defaults.

Names: the specification and its successors (model.json, Nitro's load and chat parameters). The ranges are
those of `engines.protocol`, which checks them again at its own border.
"""

import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NoReturn

import msgspec

from janfs.errors import InvalidInput

MAX_STOPS = 16
MAX_STOP_LENGTH = 1024

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}(\.0+)?")
_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")
_BOOLEANS = {"true": True, "false": False}


class Parameter(msgspec.Struct, frozen=True):
    """What a parameter may be. `default` UNSET: nothing is built in, and the engine decides.

    `automatic` lists numbers by which older files said "choose for me"; they are read as null.
    """

    kind: Literal["integer", "number", "boolean", "text", "texts", "choice"]
    default: Any = msgspec.UNSET
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    automatic: tuple[int, ...] = ()

    def expected(self) -> str:
        """In words, what a value must be."""
        if self.kind == "choice":
            return "one of " + ", ".join(self.choices)
        noun = {
            "integer": "a whole number",
            "number": "a number",
            "boolean": "true or false",
            "text": "text",
            "texts": f"a list of up to {MAX_STOPS} texts of 1 to {MAX_STOP_LENGTH} characters",
        }[self.kind]
        if self.low is None or self.high is None:
            return noun
        return f"{noun} from {self.low:,} to {self.high:,}"


def _integer(default: Any, low: int, high: int, automatic: tuple[int, ...] = ()) -> Parameter:
    return Parameter("integer", default, low, high, automatic=automatic)


_ANY_INTEGER = Parameter("integer")
_ANY_NUMBER = Parameter("number")
_ANY_BOOLEAN = Parameter("boolean")
_ANY_TEXT = Parameter("text")

ENGINE_PARAMETERS: Mapping[str, Parameter] = MappingProxyType(
    {
        "ctx_len": _integer(4096, 0, 2**27),  # tokens; 0: as the model was trained
        "ngl": _integer(100, -1, 2**15),  # layers on the GPU; -1: all
        "n_parallel": _integer(4, 1, 256, automatic=(0,)),
        "kv_unified": Parameter("boolean", None),  # null: as suits the requests
        "embedding": Parameter("boolean", False),
        "pooling": Parameter("choice", None, choices=("none", "mean", "cls", "last", "rank")),
        "cont_batching": Parameter("boolean", True),
        "caching_enabled": Parameter("boolean", True),
        "cpu_threads": _integer(None, 1, 1024, automatic=(0, -1)),  # null: the physical cores
        "n_batch": _integer(512, 1, 2**16),
        "flash_attn": Parameter("choice", "auto", choices=("auto", "on", "off")),
        "cache_type": Parameter(
            "choice", "f16", choices=("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0")
        ),
        "pinned": Parameter("boolean", False),
        "keep_alive": Parameter("number", None, -1, 10**9),  # seconds; -1: for good; null: --keep-alive
        "use_mmap": Parameter("boolean", True),
        "mlock": Parameter("boolean", False),
        "adapters": Parameter("texts", None),  # names of files; null: all that lie in the model's folder
        "llama_model_path": _ANY_TEXT,
        "mmproj": _ANY_TEXT,
        "prompt_template": _ANY_TEXT,
        "system_prompt": _ANY_TEXT,
        "user_prompt": _ANY_TEXT,
        "ai_prompt": _ANY_TEXT,
        "pre_prompt": _ANY_TEXT,
        "vision_model": _ANY_BOOLEAN,
        "text_model": _ANY_BOOLEAN,
        "model_type": _ANY_TEXT,
        "clean_cache_threshold": _ANY_INTEGER,
        "grp_attn_n": _ANY_INTEGER,
        "grp_attn_w": _ANY_INTEGER,
        "grammar_file": _ANY_TEXT,
        "llama_log_folder": _ANY_TEXT,
        "full_url": _ANY_TEXT,  # of engines/openai.json and the like, as those below
        "base_urls": Parameter("texts"),
        "auth_header": Parameter("choice", choices=("both", "authorization", "api-key", "x-api-key")),
        "connect_timeout": Parameter("number", low=0.1, high=600),  # seconds
        "read_timeout": Parameter("number", low=1, high=86_400),
        "first_word_timeout": Parameter("number", low=1, high=86_400),
        "health_checks": _ANY_BOOLEAN,
        "api_key": _ANY_TEXT,
    }
)

MODEL_PARAMETERS: Mapping[str, Parameter] = MappingProxyType(
    {
        "temperature": Parameter("number", 0.7, 0, 2),
        "top_p": Parameter("number", 0.95, 0, 1),
        "top_k": _integer(40, -1, 2**31 - 1),  # 0 or -1: off
        "min_p": Parameter("number", 0.05, 0, 1),
        "max_tokens": _integer(None, 1, 2**31 - 1, automatic=(-1,)),  # null: until the context ends
        "stop": Parameter("texts", []),
        "frequency_penalty": Parameter("number", 0, -2, 2),
        "presence_penalty": Parameter("number", 0, -2, 2),
        "repeat_penalty": Parameter("number", 1.0, 0.1, 10),
        "repeat_last_n": _integer(64, -1, 2**20),
        "stream": Parameter("boolean", False),
        "seed": _integer(None, -(2**63), 2**63 - 1, automatic=(-1,)),  # null: a fresh one every time
        "ignore_eos": Parameter("boolean", False),
        "max_temperature": _ANY_NUMBER,
        "typ_p": Parameter("number", low=0, high=1),
        "tfs_z": _ANY_NUMBER,
        "mirostat": Parameter("integer", low=0, high=2),
        "mirostat_tau": Parameter("number", low=0, high=100),
        "mirostat_eta": Parameter("number", low=0, high=1),
        "dynatemp_range": Parameter("number", low=0, high=2),
        "dynatemp_exponent": Parameter("number", low=0, high=10),
        "penalize_nl": _ANY_BOOLEAN,
        "n_probs": _ANY_INTEGER,
        "min_keep": Parameter("integer", low=0, high=2**20),
    }
)

WITHOUT_EFFECT: Mapping[str, str] = MappingProxyType(
    {
        "pre_prompt": "a system message is the request's",
        "vision_model": "whether a model sees images is seen from its projector",
        "text_model": "what a model can do is read from its header",
        "model_type": "what a model can do is read from its header",
        "clean_cache_threshold": "what is cached goes when its place is needed",
        "grp_attn_n": "llama.cpp has no grouped attention any more",
        "grp_attn_w": "llama.cpp has no grouped attention any more",
        "llama_log_folder": "what llama.cpp says is told where a load fails",
        "max_temperature": "it bounds what a page offers, and nothing here",
        "tfs_z": "llama.cpp has no tail-free sampling any more",
        "penalize_nl": "llama.cpp penalises line feeds as all other tokens",
        "n_probs": "a request says whether it wants logprobs",
    }
)
"""Parameters that are read and shown, and mean nothing (any more); and why."""


def checked(name: str, parameter: Parameter, value: Any) -> Any:
    """The value in the parameter's type; null stays None, numbers and booleans may be written as text.

    Raises `InvalidInput`, naming the parameter and what it must be.
    """
    if value is None:
        return None
    match parameter.kind:
        case "integer" | "number":
            return _checked_number(name, parameter, value)
        case "boolean":
            typed = _BOOLEANS.get(value.strip().lower()) if isinstance(value, str) else value
            return typed if isinstance(typed, bool) else _refuse(name, parameter, value)
        case "choice":
            text = ("on" if value else "off") if isinstance(value, bool) else value
            text = text.strip().lower() if isinstance(text, str) else None
            return text if text in parameter.choices else _refuse(name, parameter, value)
        case "text":
            return value if isinstance(value, str) else _refuse(name, parameter, value)
        case "texts":
            return _checked_texts(name, parameter, value)


def _checked_number(name: str, parameter: Parameter, value: Any) -> int | float | None:
    number = _number_in_text(name, parameter, value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        _refuse(name, parameter, value)
    if parameter.kind == "integer":
        if number != int(number):
            _refuse(name, parameter, value)
        number = int(number)
    if number in parameter.automatic:
        return None
    low = -math.inf if parameter.low is None else parameter.low
    high = math.inf if parameter.high is None else parameter.high
    if not low <= number <= high:
        _refuse(name, parameter, value)
    return number


def _number_in_text(name: str, parameter: Parameter, value: str) -> int | float:
    text = value.strip()
    if not (_INTEGER if parameter.kind == "integer" else _NUMBER).fullmatch(text):
        _refuse(name, parameter, value)
    return int(text.partition(".")[0]) if parameter.kind == "integer" else float(text)


def _checked_texts(name: str, parameter: Parameter, value: Any) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or len(texts) > MAX_STOPS:
        _refuse(name, parameter, value)
    if not all(isinstance(text, str) and 0 < len(text) <= MAX_STOP_LENGTH for text in texts):
        _refuse(name, parameter, value)
    return list(texts)


def _refuse(name: str, parameter: Parameter, value: Any) -> NoReturn:
    shown = repr(value) if not isinstance(value, bool) else str(value).lower()
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    raise InvalidInput(f"{name} must be {parameter.expected()}, not {shown}.", param=name)
