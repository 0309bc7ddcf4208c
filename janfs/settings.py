"""Settings of the service, from the command line and the environment; checked before anything is opened."""

import ipaddress
import math
import re
from pathlib import Path

from msgspec import Struct

from janfs.errors import SettingsError

DEFAULT_ROOT = "~/jan"
DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 1337
_HOST = re.compile(r"[^\s/@?#]+")
_ORIGIN = re.compile(r"null|[a-z][a-z0-9+.-]*://[^\sA-Z/@?#]+")
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,6})?) ?([KMGT]?)(?:i?B)?", re.IGNORECASE)


class Settings(Struct, frozen=True, kw_only=True):
    """What `janfs serve` was told.

    `api_key`, when given, guards everything but the health checks. `insecure` allows an address that other
    machines can reach without one. `allowed_hosts` (`name:port`) and `allowed_origins` (`http://name:port`)
    are let in besides our own. `max_loaded` models are in memory at once, and take no more than `memory`
    bytes together; those that nobody uses for `keep_alive` seconds (negative: for ever) are unloaded, but for
    those with the ids in `preload`, which are loaded at the start. `max_queue` requests may wait for each.
    `grace` seconds are given to running streams at shutdown. With `spare_worker` off no process is kept ready
    for the next model; with `organise` off nothing in the folder is moved; with `hashing` off no file is read
    from end to end unless someone asks for it; with `checkpoints` off the log's write-ahead log is left to
    Litestream. Downloads come from `download_hosts` alone, where there are any, and with `download_private`
    from private addresses too.
    Raises `SettingsError`.
    """

    root: Path
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    api_key: str | None = None
    insecure: bool = False
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    max_loaded: int = 4
    max_queue: int = 64
    memory: int | None = None
    keep_alive: float = 1800.0
    preload: tuple[str, ...] = ()
    grace: float = 5.0
    spare_worker: bool = True
    polling: bool = False
    organise: bool = True
    hashing: bool = True
    checkpoints: bool = True
    download_hosts: tuple[str, ...] = ()
    download_private: bool = False
    sample: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise SettingsError(f"--port must be between 0 and 65535, not {self.port}.", param="port")
        if self.max_loaded < 1:
            raise SettingsError(f"--max-loaded must be 1 or more, not {self.max_loaded}.", param="max_loaded")
        if self.max_queue < 0:
            raise SettingsError(f"--max-queue must not be negative, not {self.max_queue}.", param="max_queue")
        if self.memory is not None and self.memory < 0:
            raise SettingsError(f"--memory must not be negative, not {self.memory}.", param="memory")
        if math.isnan(self.keep_alive):
            raise SettingsError("--keep-alive must be a number of seconds.", param="keep_alive")
        if not 0 <= self.grace < math.inf:  # a NaN is not either
            raise SettingsError(
                f"--grace must be a number of seconds, from 0 on, not {self.grace}.", param="grace"
            )
        for name in self.allowed_hosts:
            if _HOST.fullmatch(name) is None:
                raise SettingsError(
                    f"--allow-host must be a name, or name:port, such as janfs.local:1337, not {name}.",
                    param="allowed_hosts",
                )
        for origin in self.allowed_origins:
            if _ORIGIN.fullmatch(origin) is None:
                raise SettingsError(
                    "--allow-origin must be an origin as browsers send it, such as http://localhost:3000, "
                    f"in lower case and without a path, not {origin}.",
                    param="allowed_origins",
                )
        if self.api_key is not None and not self.api_key.strip():
            raise SettingsError("The API key is empty. Leave it out, or give one.", param="api_key")
        if self.api_key is not None and (
            self.api_key != self.api_key.strip() or not self.api_key.isprintable()
        ):
            raise SettingsError(
                "No client can send the API key: there is space around it, or a line break in it. Is it "
                "quoted as it should be?",
                param="api_key",
            )
        if not is_loopback(self.host) and self.api_key is None and not self.insecure:
            raise SettingsError(
                f"Other machines can reach {self.host}. Give an API key (--api-key or JANFS_API_KEY), "
                "or say --insecure if everyone may use, start and delete models.",
                param="host",
            )

    def __repr__(self) -> str:
        """Without the key: this may end up in a log."""
        return f"Settings(root={self.root}, host={self.host}, port={self.port})"


def parse_size(text: str) -> int:
    """Bytes of a size such as `8G`, `512M` or `1073741824`; the letters are powers of 1024, `off` is 0.

    Raises `SettingsError`.
    """
    if text.strip().lower() == "off":
        return 0
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise SettingsError(
            f"--memory must be off or a size, such as 8G or 512M, not {text}.", param="memory"
        )
    return int(float(found[1]) * 1024 ** " KMGT".index(found[2].upper() or " "))


def is_loopback(host: str) -> bool:
    """Whether an address to listen on can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
