"""Structured logs on stderr: one line an event, for people or, on request, as JSON."""

import logging
import sys
from typing import Any, Literal

import structlog

from janfs.terminal import visible

Level = Literal["debug", "info", "warning", "error"]


def configure(level: Level = "warning", *, as_json: bool = False) -> None:
    """Set up logging for this process."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    # Without the values of variables: they may hold prompts and keys.
    transform = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    tracebacks = (structlog.processors.ExceptionRenderer(transform),) if as_json else ()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *tracebacks,
            *(() if as_json else (_visible,)),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _visible(_: Any, __: str, said: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """What is told of, such as a file's name or a request's path, steers no terminal."""
    return {key: visible(value) if isinstance(value, str) else value for key, value in said.items()}
