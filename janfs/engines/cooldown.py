"""After a load has failed, the next one waits: a second, then twice as long each time. Pure."""

import msgspec

from janfs.errors import DoesNotFit, JanfsError, LoadFailed

LONGEST = 30.0  # seconds


class _Failure(msgspec.Struct, frozen=True):
    version: str
    error: JanfsError
    count: int
    until: float


class Cooldown:
    """Failed loads by model; a changed version may be tried at once. `now` is in seconds of any clock."""

    def __init__(self) -> None:
        self._failures: dict[str, _Failure] = {}

    def check(self, uid: str, version: str, now: float) -> None:
        """Raise `LoadFailed` or `DoesNotFit` with the reason of the last failure, while a load must wait."""
        failure = self._failures.get(uid)
        if failure and failure.version == version and now < failure.until:
            left = failure.until - now
            kind = DoesNotFit if isinstance(failure.error, DoesNotFit) else LoadFailed
            raise kind(f"{failure.error.detail} (the next try is in {left:.1f} seconds)", retry_after=left)

    def failed(self, uid: str, version: str, error: JanfsError, now: float) -> float:
        """Note a failed load. Returns the seconds that the next one waits."""
        before = self._failures.get(uid)
        count = before.count + 1 if before and before.version == version else 1
        wait = min(LONGEST, 2.0 ** min(count - 1, 10))
        self._failures[uid] = _Failure(version, error, count, now + wait)
        return wait

    def succeeded(self, uid: str) -> None:
        self._failures.pop(uid, None)
