"""/healthz, /readyz and /metrics: for whoever watches over the process."""

from litestar import Response, route
from msgspec import Struct

from janfs.api.context import Context
from janfs.metrics import CONTENT_TYPE
from janfs.pipeline.snapshot import Snapshot


class Health(Struct, frozen=True, omit_defaults=True):
    """Whether all is well, and if not, why. `position` is that of the log.

    `warning` says what somebody should look at though requests are answered.
    """

    status: str
    position: int | None = None
    reason: str | None = None
    warning: str | None = None


@route("/healthz", http_method=["GET", "HEAD"], sync_to_thread=False)
def healthz() -> Health:
    """The process answers."""
    return Health("alive")


@route("/readyz", http_method=["GET", "HEAD"], sync_to_thread=False)
def readyz(context: Context) -> Response[Health]:
    """The folder has been looked at, can be seen, and the pipeline keeps up."""
    snapshot = context.pipeline.snapshot
    root = snapshot.catalogue.root
    reason = snapshot.failing
    if reason is None and not root.available:
        reason = root.reason or "The models folder is not available."
    if reason is None and not snapshot.caught_up:
        reason = "The models folder has not been looked at yet."
    warning = _warning(context.warning, snapshot)
    if reason is not None:
        return Response(Health("not ready", snapshot.catalogue.position, reason, warning), status_code=503)
    return Response(Health("ready", snapshot.catalogue.position, warning=warning))


def _warning(since_start: str | None, snapshot: Snapshot) -> str | None:
    """What was wrong at the start, and what the disk does not show now: of several models the first."""
    told = [] if since_start is None else [since_start]
    unsettled = sorted(snapshot.unsettled.values(), key=lambda each: each.plan.position)
    told += [each.reason for each in unsettled[:1]]
    if len(unsettled) > 1:
        told.append(f"So it is with {len(unsettled):,} in all; `janfs ls` says which.")
    return " ".join(told) or None


@route("/metrics", http_method=["GET", "HEAD"], sync_to_thread=False)
def metrics(context: Context) -> Response[bytes]:
    """What was counted and measured, in Prometheus' text format."""
    return Response(context.metrics.exposition(), headers={"content-type": CONTENT_TYPE})
