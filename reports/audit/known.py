"""How it is known: method and tier of each component, windows, repeats, idle, load from outside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean

from reports import formatting
from reports.audit.dossier import Dossier
from reports.audit.readings import COMPONENTS, TASKS, Reading, idle
from reports.content import Block, Cell, Group, Paragraph, Section, Table, columns

TIERS = (
    "Tiers, from best to worst: measured (a meter or an energy counter), sampled (power read at intervals), "
    "modelled (a power that was calculated, times time), assumed. A sum has the tier of its weakest part."
)


def known(dossier: Dossier) -> Section:
    """A table for trained models, one for made-up work, one for idle."""
    blocks: list[Block] = [Paragraph(text=TIERS)]
    of_tasks = [reading for reading in dossier.readings if reading.suite == TASKS]
    others = [reading for reading in dossier.readings if reading.suite != TASKS]
    if of_tasks:
        blocks.append(Group(title="Trained models", blocks=(_table(of_tasks),), opened=True))
    if others:
        blocks.append(Group(title="Made-up work over lengths", blocks=tuple(_in_short(others)), opened=True))
    idles = list(idle(dossier.results))
    if idles:
        blocks.append(_idle(idles))
    else:
        blocks.append(Paragraph(text="No idle power was recorded: net cannot be checked.", warning=True))
    return Section(name="method", title="How it is known", blocks=tuple(blocks))


def _table(found: Sequence[Reading]) -> Table:
    return Table(
        caption="Joules a call by component, with tier and tool. Memory stands apart and is in no sum.",
        columns=columns(
            "variant", "work", *(f"{name} #" for name in COMPONENTS), "windows", "error of the method"
        ),
        rows=tuple(tuple(_row(reading)) for reading in found),
    )


def _in_short(found: Sequence[Reading]) -> Iterator[Block]:
    """What is the same for all in one sentence, then a row each."""
    told = dict.fromkeys(f"{r.method} by {r.tool}, {r.basis}, {_error(r)}" for r in found)
    yield Paragraph(text=f"{'; '.join(told)}. Memory stands apart and is in no sum.")
    yield Table(
        caption="Joules a call.",
        columns=columns("variant", "work", "gross #", "memory #", "windows with load from outside #"),
        rows=tuple(
            (
                Cell(text=reading.implementation),
                Cell(text=reading.subject),
                Cell(text=formatting.quantity(reading.joules, "J")),
                Cell(text=_memory(reading)),
                Cell(text=f"{flagged(reading)} of {reading.windows}"),
            )
            for reading in found
        ),
    )


def _memory(reading: Reading) -> str:
    part = reading.components.get("memory")
    return f"{formatting.quantity(part.joules, 'J')}, {part.method}" if part else "none told"


def _error(reading: Reading) -> str:
    bounds = reading.method_bounds()
    return (
        f"error of the method {bounds[0]:g} to {bounds[1]:g} times"
        if bounds
        else "error of the method unknown"
    )


def _row(reading: Reading) -> Iterator[Cell]:
    yield Cell(text=reading.implementation)
    yield Cell(text=reading.subject)
    for name in COMPONENTS:
        part = reading.components.get(name)
        if part is None:
            yield Cell(text="none told")
        else:
            yield Cell(text=formatting.quantity(part.joules, "J"), word=part.method, notes=(part.tool,))
    yield Cell(text=reading.basis, notes=tuple(_windows(reading)), mark=_flag(reading))
    bounds = reading.method_bounds()
    text = f"{bounds[0]:g} to {bounds[1]:g} times" if bounds else "nobody can say"
    notes = [reading.details.get("method_basis", ""), reading.details.get("model", "")]
    yield Cell(text=text, notes=tuple(filter(None, notes)))


def _windows(reading: Reading) -> Iterator[str]:
    details = reading.details
    if details.get("window_seconds"):
        yield f"shortest {details['window_seconds']} s"
    if details.get("calls_per_window"):
        yield f"{details['calls_per_window']} calls in the first"
    if details.get("fewest_ticks") and reading.read:
        yield f"at least {details['fewest_ticks']} counter steps"
    if details.get("same_weights"):
        yield f"same weights as the checkpoint: {details['same_weights']}"


def flagged(reading: Reading) -> int:
    """How many windows had more than a tenth of the machine taken by others."""
    text = reading.details.get("flagged", "").partition(" of ")[0]
    return int(text) if text.isdecimal() else 0


def _flag(reading: Reading) -> str:
    count = flagged(reading)
    return f"{formatting.plural(count, 'window')} with load from outside above 10%" if count else ""


def _idle(found: Sequence[tuple[str, str, Sequence[tuple[float, ...]]]]) -> Table:
    rows = []
    for environment, name, pairs in found:
        every = [watts for pair in pairs for watts in pair]
        rows.append(
            (
                Cell(text=name, notes=(f"on {environment}",)),
                Cell(text=_watts(fmean(pair[0] for pair in pairs))),
                Cell(text=_watts(fmean(pair[-1] for pair in pairs))),
                Cell(text=f"{_watts(min(every))} to {_watts(max(every))}", notes=(f"{len(every)} readings",)),
            )
        )
    return Table(
        caption="Power while nothing ran, before and after. Gross energy is the headline; net is less idle.",
        columns=columns("idle", "before #", "after #", "range #"),
        rows=tuple(rows),
    )


def _watts(watts: float) -> str:
    return formatting.quantity(watts, "W")
