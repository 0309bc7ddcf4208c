"""What a start leaves for later."""

import subprocess
import sys

SCRIPT = """
import sys
from janfs import app
from janfs.api.app import _Litestar
_Litestar([], openapi_config=None)
print(*sorted(sys.modules.keys() & {"alembic", "attr", "httpx", "llama_cpp", "numpy", "PIL", "pydantic"}))
"""


def test_what_a_start_does_not_need_is_not_imported() -> None:
    """Each of these takes a tenth of a start or more; pydantic and attrs are there for the tests alone."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
