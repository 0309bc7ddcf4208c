"""`python -m janfs` is the `janfs` command."""

from janfs.cli import main

main(prog_name="janfs")
