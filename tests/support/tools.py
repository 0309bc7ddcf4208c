"""The tools that people bring models in with, and edit a model.json with, as they are called in a shell.

`SOURCE` is a model file and `FOLDER` a folder of the same name that holds it with a licence; `TARGET` is
where the file goes, `MODELS` the models folder. `URL` is the file's address, where a tool asks for one.
`FILE` is the model.json, in which the number 1111 becomes 2222. Nothing is written after a script's end.
"""

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from msgspec import Struct

_PIECES = """
for piece in {order}; do
    dd if="$SOURCE" of="$TARGET" bs=128k count=1 skip=$piece seek=$piece conv=notrunc status=none
    sleep {pause}
done
dd if="$SOURCE" of="$TARGET" bs=128k skip={last} seek={last} count={count} conv=notrunc status=none
"""
_FORWARDS = _PIECES.format(order="0 1 2 3 4 5 6 7", pause="0.2", last=8, count=1)
_BACKWARDS = _PIECES.format(order="8 7 6 5 4 3 2 1", pause="0.2", last=0, count=1)
# Whoever makes a file of its whole size first has it open until all is there. One with holes that nobody has
# open is taken for whole when it has not changed for a while, which a busy machine may need for a piece.
_OPEN = 'exec 3>>"$TARGET"; '
_SIZE = '$(stat -c %s "$SOURCE")'


class Tool(Struct, frozen=True):
    """One way to do it: what people call it, the shell script, and the programs that it needs."""

    name: str
    script: str
    needs: tuple[str, ...] = ()

    @property
    def missing(self) -> list[str]:
        """The programs that are not installed here."""
        return [program for program in self.needs if shutil.which(program) is None]

    def run(self, **variables: str | Path) -> None:
        """Run it to its end. Raises `CalledProcessError`."""
        environment = {**os.environ, "TERM": "xterm", **{key: str(value) for key, value in variables.items()}}
        subprocess.run(["sh", "-euc", self.script], env=environment, check=True, capture_output=True)


def _tools(table: str) -> list[Tool]:
    """From lines of `name | programs | script`; indented lines go on with the script."""
    entries = re.split(r"\n(?! )", table.strip("\n"))
    columns = [[part.strip() for part in entry.split(" | ", 2)] for entry in entries]
    return [Tool(name, script, tuple(programs.split())) for name, programs, script in columns]


BRINGING = [
    *_tools(r"""
cp | cp | cp "$SOURCE" "$TARGET"
cp -p, old | cp | touch -d 2001-02-03 "$SOURCE"; cp -p "$SOURCE" "$TARGET"
cp --sparse=always | cp | cp --sparse=always "$SOURCE" "$TARGET"
cp -r | cp | cp -r "$FOLDER" "$MODELS"
cat | cat | cat "$SOURCE" > "$TARGET"
install | install | install -m 644 "$SOURCE" "$TARGET"
mv | mv | mv "$SOURCE" "$TARGET"
mv of a folder | mv | mv "$FOLDER" "$MODELS"
mv from another disk | mv | there=$(mktemp -p /dev/shm); cp "$SOURCE" "$there"; mv "$there" "$TARGET"
ln | ln | ln "$SOURCE" "$TARGET"
ln -s | ln | ln -s "$SOURCE" "$TARGET"
one writer in slow motion | cat | { head -c 300000; sleep 0.7; cat; } < "$SOURCE" > "$TARGET"
appended later | tail | head -c 300000 "$SOURCE" > "$TARGET"; sleep 1; tail -c +300001 "$SOURCE" >> "$TARGET"
rsync | rsync | rsync --bwlimit=2m "$SOURCE" "$TARGET"
rsync -a of a folder | rsync | rsync -a "$FOLDER" "$MODELS"
rsync --inplace | rsync | rsync --inplace --bwlimit=2m "$SOURCE" "$TARGET"
rsync --sparse | rsync | rsync --sparse "$SOURCE" "$TARGET"
curl to a temporary name | curl | curl -sf -o "$TARGET.part" "$URL"; mv "$TARGET.part" "$TARGET"
curl | curl | curl -sf --limit-rate 2M -o "$TARGET" "$URL"
wget | wget | wget -q -O "$TARGET" "$URL"
tar x | tar | tar -cf "$FOLDER.tar" -C "$FOLDER/.." "$NAME"; tar -xf "$FOLDER.tar" -C "$MODELS"
unzip | unzip python3 | python3 -m zipfile -c "$FOLDER.zip" "$FOLDER"; unzip -q "$FOLDER.zip" -d "$MODELS"
git clone | git | cd "$FOLDER"; git init -q; git add .; git -c user.name=a -c user.email=a@b commit -qm x
    git clone -q "$FOLDER" "$MODELS/$NAME"
"""),
    Tool("dd in slow motion", _FORWARDS, ("dd",)),
    Tool("dd from the end", _BACKWARDS, ("dd",)),
    Tool("fallocate first", f'{_OPEN}fallocate -l {_SIZE} "$TARGET"{_FORWARDS}', ("fallocate", "dd")),
    Tool(
        "fallocate first, from the end",
        f'{_OPEN}fallocate -l {_SIZE} "$TARGET"{_BACKWARDS}',
        ("fallocate", "dd"),
    ),
    Tool("truncate first", f'{_OPEN}truncate -s {_SIZE} "$TARGET"{_FORWARDS}', ("truncate", "dd")),
    Tool(
        "truncate first, from the end",
        f'{_OPEN}truncate -s {_SIZE} "$TARGET"{_BACKWARDS}',
        ("truncate", "dd"),
    ),
]

_VIM = """vim -es -u NONE -i NONE -c 'set {options}' -c '%s/1111/2222/' -c wq "$FILE" """

EDITING = [
    *_tools(r"""
sed -i | sed | sed -i s/1111/2222/ "$FILE"
perl -pi | perl | perl -pi -e s/1111/2222/ "$FILE"
in place, as VS Code does | sed | new=$(sed s/1111/2222/ "$FILE"); printf "%s" "$new" > "$FILE"
in place, slowly | sed | new=$(sed s/1111/2222/ "$FILE")
    { printf "%.20s" "$new"; sleep 1; printf "%s" "$new" | tail -c +21; } > "$FILE"
a temporary file renamed | sed | sed s/1111/2222/ "$FILE" > "$FILE.tmp.4711"; mv "$FILE.tmp.4711" "$FILE"
the old one renamed first, as emacs does | sed | mv "$FILE" "$FILE~"; sed s/1111/2222/ "$FILE~" > "$FILE"
removed, and written later | sed | old=$(cat "$FILE"); rm "$FILE"; sleep 1
    printf "%s" "$old" | sed s/1111/2222/ > "$FILE"
cp over it | cp | sed s/1111/2222/ "$FILE" > "$FILE.tmp"; cp "$FILE.tmp" "$FILE"; rm "$FILE.tmp"
cp -p over it, old | cp | sed s/1111/2222/ "$FILE" > "$FILE.tmp"; touch -d 2001-02-03 "$FILE.tmp"
    cp -p "$FILE.tmp" "$FILE"; rm "$FILE.tmp"
git checkout | git | cd "$(dirname "$FILE")"; git init -q; git config user.name a; git config user.email a@b
    git add model.json; git commit -qm one; git checkout -qb other; sed -i s/1111/2222/ model.json
    git commit -qam two; git checkout -q -; sleep 0.5; git checkout -q other
nano | nano script | replace() { sleep 0.5; printf "\0341111\r2222\rA"; }
    save_and_leave() { sleep 0.3; printf "\017\r"; sleep 0.3; printf "\030"; }
    { replace; save_and_leave; } | script -qec "nano -I \"$FILE\"" /dev/null
"""),
    Tool("vim", _VIM.format(options="backupcopy=auto"), ("vim",)),
    Tool("vim, in place", _VIM.format(options="backupcopy=yes"), ("vim",)),
    Tool("vim, the old one renamed", _VIM.format(options="backupcopy=no backup"), ("vim",)),
    Tool("vim, no backup and no swap", _VIM.format(options="nowritebackup noswapfile"), ("vim",)),
]


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A web server for the files of a folder; its address."""
    handler = partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""
