"""A pipeline in a thread of its own."""

import threading

from janfs.pipeline.loop import Pipeline


def start_thread(pipeline: Pipeline) -> threading.Thread:
    """Run a pipeline until it is stopped; the thread ends with it."""
    thread = threading.Thread(target=pipeline.run, name="pipeline", daemon=True)
    thread.start()
    return thread
