"""What the fake model must give a request, whoever runs beside it."""

import codecs

import msgspec

from janfs.engines.llama_cpp.pictures import Picture
from janfs.engines.protocol import Finished, SamplingParams, Spent, TokenLogprob, Usage
from tests.engines.llama_cpp.fake_model import END, PIECES, next_token


def alone(
    prompt: list[int], sampling: SamplingParams, stop: tuple[str, ...], n_ctx: int
) -> tuple[str, Finished]:
    """What a request must give, whoever runs beside it: the plain loop, one token after the other."""
    tokens, data = list(prompt), b""
    reason = "length"
    while len(tokens) < n_ctx and len(tokens) - len(prompt) != sampling.max_tokens:
        token = next_token(tokens)
        if token == END and not sampling.ignore_eos:
            reason = "stop"
            break
        tokens.append(token)
        data += PIECES[token]
        whole_characters, _ = codecs.utf_8_decode(data, "replace", False)
        if any(each in whole_characters for each in stop):
            break
    text = data.decode("utf-8", "replace")
    ends = [(at + len(each), at, each) for each in stop if (at := text.find(each)) >= 0]
    found = None
    if ends:
        _, at, found = min(ends)
        text, reason = text[:at], "stop"
    return text, Finished(reason, Usage(len(prompt), len(tokens) - len(prompt)), stop_string=found)


def scores(prompt: list[int]) -> list[TokenLogprob]:
    """The logprobs of a prompt's tokens."""
    rest = [
        TokenLogprob(token, PIECES[token], -float(next_token(prompt[:at])))
        for at, token in enumerate(prompt)
        if at
    ]
    return [TokenLogprob(prompt[0], PIECES[prompt[0]], None), *rest]


def picture(at: int, rows: list[int]) -> Picture:
    """An image whose rows are its placeholders; the model is a fake and looks at nothing else."""
    return Picture(at, rows, None, len(rows))


def timeless(finished: object, **changes: object) -> Finished:
    """An end without how long it took, which no two have in common."""
    assert isinstance(finished, Finished)
    return msgspec.structs.replace(finished, spent=Spent(), **changes)
