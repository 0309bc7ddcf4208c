"""Puts the API together."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from litestar import Litestar
from litestar.di import Provide
from litestar.plugins import PluginProtocol
from litestar.plugins.core import MsgspecDIPlugin

from janfs.api import docs, schemas
from janfs.api.access import Access
from janfs.api.actor import actor_of
from janfs.api.bell import Bell
from janfs.api.context import ApiContext
from janfs.api.door import Door
from janfs.api.errors import handle
from janfs.api.openapi import OPERATIONS
from janfs.listing import ModelList
from janfs.past.moments import AsOf
from janfs.root import RootPaths

HANDLERS = (
    *(operation.handler for operation in OPERATIONS),
    docs.get_openapi,
    docs.get_docs,
    docs.get_root,
    schemas.get_schema,
)


def create_api(context: ApiContext) -> Access:
    """The API as an ASGI application. It needs its lifespan to be run."""
    bell, model_list = Bell(), ModelList()
    past = AsOf(
        context.log, RootPaths(context.settings.root).past, now=lambda: context.pipeline.snapshot.catalogue
    )
    context.metrics.watch_engines(context.shown)
    context.metrics.watch_servers(context.remotes.servers)
    context.pipeline.on_publish(lambda _: bell.ring_from_thread())

    @asynccontextmanager
    async def ringing(_: Litestar) -> AsyncGenerator[None]:
        bell.attach()
        at_the_end = asyncio.create_task(_ring_when_stopping(context, bell))
        try:
            yield
        finally:
            bell.detach()
            at_the_end.cancel()

    inside = _Litestar(
        HANDLERS,
        dependencies={
            "context": Provide(lambda: context, sync_to_thread=False),
            "model_list": Provide(lambda: model_list, sync_to_thread=False),
            "actor": Provide(actor_of, sync_to_thread=False),
            "past": Provide(lambda: past, sync_to_thread=False),
            "bell": Provide(lambda: bell, sync_to_thread=False),
        },
        exception_handlers={Exception: handle},
        lifespan=[ringing],
        logging_config=None,
        request_max_body_size=None,  # the door measures
        openapi_config=None,
    )
    return Access(Door(inside, context), context.metrics)


class _Litestar(Litestar):
    """Without the plugins for pydantic and attrs, which Litestar imports wherever they are installed; nothing
    here is made with them.
    """

    @staticmethod
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        return [*plugins, MsgspecDIPlugin()]


async def _ring_when_stopping(context: ApiContext, bell: Bell) -> None:
    """Event streams wait for the bell; this lets them see that it is over."""
    await context.stopping.wait()
    bell.ring()
