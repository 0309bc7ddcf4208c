"""janfs: a model folder that organises itself, remembers everything and serves the OpenAI API."""


def version() -> str:
    """The version that is installed."""
    from importlib.metadata import version  # a fifth of what a worker imports, which has no use for it

    return version("janfs")
