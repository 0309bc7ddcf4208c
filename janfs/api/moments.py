"""Moments in requests: a position of the log, a time, or words for one."""

from datetime import UTC, datetime
from typing import Annotated, TypeAlias

from litestar.di import NamedDependency
from litestar.params import QueryParameter, SkipValidation

from janfs.api.context import ApiContext
from janfs.errors import InvalidInput
from janfs.past.moments import AsOf, position_at

Past: TypeAlias = SkipValidation[NamedDependency[AsOf]]
Moment: TypeAlias = Annotated[str | None, QueryParameter()]


def position_of(context: ApiContext, when: str, param: str = "at") -> int:
    """The position that a moment stands for, which the request gives as `param`. Raises `InvalidInput`."""
    head = context.pipeline.snapshot.catalogue.position
    try:
        return position_at(context.log, head, when, datetime.now(UTC))
    except InvalidInput as error:
        raise InvalidInput(error.detail, param=param) from error
