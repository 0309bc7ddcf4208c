"""/v1/engines: the engines and their settings."""

from litestar import get

from janfs.api.context import Context
from janfs.engine_views import EngineList, engine_list


@get("/v1/engines", sync_to_thread=False)
def list_engines(context: Context) -> EngineList:
    """Every engine: the settings in its file, what is wrong with that, and how its servers elsewhere are."""
    return engine_list(context.pipeline.snapshot.catalogue, context.remotes.health)
