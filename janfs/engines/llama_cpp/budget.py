"""What a step may compute of prompts, so that running answers do not wait long. Pure."""

from collections.abc import Sequence
from typing import Literal

STEP_SECONDS = 0.25  # what prompts may put between two tokens of somebody else's answer
APART_SECONDS = 0.5  # the same where they are computed apart from answers, so that small pieces cost more
MOST_APART = 8  # times that long a step may get where many wait for their prompts and few write
LEAST_CHUNK = 16  # prompt tokens in a step, however slow the machine is
TILE = 64  # rows that attention takes together, from so many on (GGML_FA_TILE_Q in ggml-cpu/common.h)
_FIRST_CHUNK = 64  # before anything was measured
_WEIGHT = 0.3  # of the latest step in the running average


class Pace:
    """How many prompt tokens take `step_seconds`, learnt from the steps there were."""

    def __init__(self, step_seconds: float = STEP_SECONDS) -> None:
        self.step_seconds = step_seconds
        self._seconds_per_token: float | None = None

    @property
    def chunk(self) -> int:
        """Prompt tokens for a step in which others decode."""
        if self._seconds_per_token is None:
            return _FIRST_CHUNK
        return max(LEAST_CHUNK, int(self.step_seconds / self._seconds_per_token))

    def saw(self, tokens: int, seconds: float) -> None:
        """Learn from a step that computed so many tokens. Few say nothing: they too cost a whole pass."""
        if tokens < LEAST_CHUNK or seconds <= 0:
            return
        latest, before = seconds / tokens, self._seconds_per_token
        self._seconds_per_token = latest if before is None else before + _WEIGHT * (latest - before)


def shares(missing: Sequence[int], room: int, chunk: int) -> list[int]:
    """How many tokens of each request to compute now: `missing` ones, of requests with the oldest first.

    One that misses a single token is writing and gets it; one that misses none waits and gets none. What
    is left of `room` goes to prompts, some `chunk` at most while anyone writes: half of it to the oldest, so
    that it is not put off by shorter ones for good, the rest to the shortest first, which gives the earliest
    first tokens. `room` is at least the number of requests.
    """
    given = [min(1, each) for each in missing]
    prompts = sorted((each, place) for place, each in enumerate(missing) if each > 1)
    left = room - sum(given)
    writing = sum(each == 1 for each in missing)
    if writing:
        left = min(left, max(0, whole_tiles(writing + chunk) - sum(given)))
    oldest = sorted(prompts, key=lambda prompt: prompt[1])[:1]
    for (lacking, place), most in [
        *((prompt, left // 2) for prompt in oldest),
        *((prompt, left) for prompt in prompts),
    ]:
        more = min(lacking - given[place], most, left)
        given[place] += more
        left -= more
    return given


def shares_in_turn(
    missing: Sequence[int], room: int, chunk: int, first: Literal["oldest", "shortest"]
) -> list[int]:
    """The same where each prompt in a batch is computed by itself, so that few should be beside answers.

    What there is for prompts goes to the `first` one, then to others, the shortest before longer ones. Those
    for whom nothing is left wait. While anyone writes it is a `chunk`; more where many wait and few write, by
    two chunks for each who waits, shared by those who write: a step costs passes over the weights, and when
    eight come at once, seven should not pay that for every word of the first.
    """
    prompts = sorted((each, place) for place, each in enumerate(missing) if each > 1)
    if first == "oldest":
        oldest = min((place for _, place in prompts), default=None)
        prompts.sort(key=lambda prompt: prompt[1] != oldest)
    given = [int(each == 1) for each in missing]
    left = room - sum(given)
    if writing := sum(given):
        left = min(left, MOST_APART * chunk, max(chunk, 2 * chunk * len(prompts) // writing))
    for lacking, place in prompts:
        given[place] = min(lacking, left)
        left -= given[place]
    return given


def whole_tiles(rows: int) -> int:
    """As many rows, or a few less: the rest of a tile is computed as well, and takes as long.

    Below `TILE` each row is computed by itself. With SmolLM2 135M on two cores, prompts of 150 tokens beside
    eight answers were computed at 308 tokens a second by 63 rows, 240 by 64, 260 by 80, and 300 by 128.
    """
    if rows < TILE:
        return rows
    return TILE - 1 if rows < 2 * TILE else rows // TILE * TILE
