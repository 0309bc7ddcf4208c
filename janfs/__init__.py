"""janfs: a model folder that organises itself, remembers everything and serves the OpenAI API."""

from importlib.metadata import version

__version__ = version("janfs")
