"""HTTP: the OpenAI-compatible API, and what janfs adds to it. It asks the pipeline and the pool."""

from janfs.api.app import create_api
from janfs.api.context import ApiContext

__all__ = ["ApiContext", "create_api"]
