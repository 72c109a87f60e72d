"""How a command ends: its exit codes, and the message that refuses what cannot be carried out."""

from __future__ import annotations

from typing import NoReturn

import typer

DONE, FAILED, WRONG_USAGE, NOT_MEASURED, INTERRUPTED = 0, 1, 2, 3, 130


def complain(message: str) -> None:
    """Say on standard error what went wrong."""
    typer.echo(f"attnbench: {message}", err=True)


def refuse(message: str) -> NoReturn:
    """Say what is wrong with what was typed, and leave."""
    complain(message)
    raise typer.Exit(WRONG_USAGE)
