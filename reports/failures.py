"""What could not be measured and why; the end of a worker's output is kept to the letter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from reports import formatting
from reports.content import Block, Cell, Group, Listing, Paragraph, Section, Table, columns
from reports.evidence import Evidence

_LAST_LINES = 20


@dataclass(frozen=True, slots=True)
class Failure:
    """One reason, with all that it kept from being measured."""

    environment: str
    implementation: str
    suite: str
    status: str
    reason: str
    subjects: tuple[str, ...]


def render(evidence: Evidence) -> Section:
    """A row a reason; long reasons below, each under its own heading."""
    found = failures(evidence.results.frame)
    blocks: list[Block] = []
    aside = evidence.results.set_aside
    if aside:
        blocks.append(
            Paragraph(text=f"{formatting.plural(aside, 'torn line')} of the run set aside.", warning=True)
        )
    silent = int(_attacks_without_number(evidence.results.frame).sum())
    if silent:
        told = f"{formatting.plural(silent, 'figure')} of attacks, inconclusive or impossible here"
        blocks.append(Paragraph(text=f"{told}: see “Accuracy under attack”."))
    if not found:
        blocks.append(Paragraph(text="Nothing failed, and nothing that was asked for is missing."))
    else:
        blocks.append(_table(found, evidence.results.mixed))
        blocks.extend(_listings(found))
    return Section(
        name="failures",
        title="What failed and why",
        blocks=tuple(blocks),
        data=[_as_data(failure) for failure in found],
    )


def failures(frame: Any) -> tuple[Failure, ...]:
    """Everything that is not `ok`, an entry for each implementation, suite and reason; failures first.

    Attacks without a number are left out: the view `robustness` lists every one of them.
    """
    wrong = frame[(frame["status"] != "ok") & ~_attacks_without_number(frame)]
    names = ["environment_id", "implementation", "suite", "status", "reason"]
    found = [
        Failure(environment, implementation, suite, status, reason, tuple(dict.fromkeys(_what(rows))))
        for (environment, implementation, suite, status, reason), rows in wrong.groupby(names, sort=False)
    ]
    return tuple(sorted(found, key=lambda failure: failure.status != "failed"))


def _attacks_without_number(frame: Any) -> Any:
    """Which rows are attacks that a gate doubts or that cannot be made, as a mask over the frame."""
    of_attack = frame["details"].map(lambda details: "attack" in details).astype(bool)
    here = frame["suite"].isin(["robustness", "attack_transfer"])
    return of_attack & here & frame["status"].isin(["inconclusive", "unsupported"])


def _what(rows: Any) -> Iterator[str]:
    for suite, metric, subject in zip(rows["suite"], rows["metric"], rows["subject"], strict=True):
        yield f"{metric} on {subject}" if suite == "certificate" else subject


def summary(reason: str) -> str:
    """The line of a reason that says most: the only one, or the last of a traceback."""
    lines = [line.strip() for line in reason.strip().splitlines() if line.strip()]
    if not lines:
        return reason
    traceback = any(line.startswith("Traceback") for line in lines)
    text = lines[-1] if traceback else lines[0]
    return text if len(text) <= 200 else text[:199] + "…"


def _table(found: Sequence[Failure], mixed: bool) -> Table:
    rows = tuple(
        (
            Cell(text=failure.implementation, notes=(f"on {failure.environment}",) if mixed else ()),
            Cell(text=failure.suite),
            Cell(word=failure.status),
            Cell(text=summary(failure.reason)),
            Cell(text=shown_subjects(failure.subjects)),
        )
        for failure in found
    )
    caption = "Each cost its own row and no other. No failure was turned into a number."
    return Table(
        caption=caption, columns=columns("implementation", "suite", "status", "reason", "what"), rows=rows
    )


def shown_subjects(subjects: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    if len(subjects) <= 4:
        return ", ".join(subjects)
    return f"{', '.join(subjects[:3])} and {len(subjects) - 3} more"


def _listings(found: Sequence[Failure]) -> Iterator[Block]:
    for failure in found:
        lines = failure.reason.strip().splitlines()
        if len(lines) > 1 or len(failure.reason) > 200:
            shown = "\n".join(lines[-_LAST_LINES:])
            left = len(lines) - _LAST_LINES
            title = f"last {_LAST_LINES} lines; {left} before them left out" if left > 0 else "in full"
            listing = Listing(title=title, text=shown)
            yield Group(
                title=f"{failure.implementation}, {failure.suite}: {summary(failure.reason)}",
                blocks=(listing,),
            )


def _as_data(failure: Failure) -> dict[str, Any]:
    return {
        "implementation": failure.implementation,
        "suite": failure.suite,
        "status": failure.status,
        "reason": failure.reason,
        "subjects": list(failure.subjects),
        "environment": failure.environment,
    }
