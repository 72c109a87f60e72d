"""The command line. Answers `list` and `--help` without importing a framework, pandas or SciPy."""

from __future__ import annotations

import typer

from bench.commands import audit, gate, measure, tell
from bench.commands.history import history

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Compare attention variants: how fast, how much memory, how accurate, and how we know.",
)
app.command("list")(tell.list_)
app.command("compare", help="Measure variants against softmax, write the report, print the verdicts.")(
    measure.measuring(report=True)
)
app.command("run", help="Measure only; report later.")(measure.measuring(report=False))
app.command()(measure.certify)
app.command()(measure.resume)
app.command()(gate.gate)
app.command()(tell.report)
app.command()(audit.audit)
app.command()(history)
app.command()(tell.doctor)


def main() -> None:
    """Entry point of the `attnbench` command."""
    app()


if __name__ == "__main__":
    main()
