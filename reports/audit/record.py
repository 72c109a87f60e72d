"""What an auditor traces: formulas with numbers, the search, what failed, where, with which command."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bench.units import kilowatt_hours_of_joules
from reports import formatting
from reports.audit.asked import Asked
from reports.audit.cases import EACH, Case, divisor
from reports.audit.dossier import Dossier
from reports.audit.opening import SPECIFICATION
from reports.audit.prices import Price
from reports.content import Block, Cell, Group, Items, Listing, Paragraph, Section, Table, columns, words
from reports.failures import failures, summary
from reports.frame import flattened
from reports.reproduce import command

_SUITES = ("energy", "task_energy", "accuracy")


def search(dossier: Dossier) -> Section:
    """Which trainings there were, and which of them a training's figure holds."""
    blocks: list[Block] = [
        Paragraph(
            text="A training's figure is one training at the learning rate that was chosen. What it took to "
            "choose the rate, and the other seeds, is in no figure; here that one training is multiplied."
        )
    ]
    rows = [row for case in dossier.cases for row in _searches(dossier, case)]
    if rows:
        heads = ("variant", "task", "rates tried", "seeds", "trainings #", "energy of all of them #")
        caption = (
            "Every rate is trained at the first seed, the chosen one at the others. The energy is modelled: "
            "trainings times the one that was metered, as if none had ended early."
        )
        blocks.append(Table(caption=caption, columns=columns(*heads), rows=tuple(rows)))
    else:
        blocks.append(
            Paragraph(
                text="The run holds no rows on its trainings: what the search took is unknown.", warning=True
            )
        )
    return Section(name="search", title="What finding the model took", blocks=tuple(blocks))


def _searches(dossier: Dossier, case: Case) -> Iterator[tuple[Cell, ...]]:
    rows = dossier.results.select("accuracy")
    rows = rows[(rows["subject"] == case.task) & (rows["environment_id"] == case.environment_id)]
    for name in case.names:
        mine = rows[rows["implementation"] == name]
        grids = [str(details["grid"]) for details in mine["details"] if details.get("grid")]
        if not grids or name not in case.scores:
            continue
        rates, seeds = grids[0].split(), len(case.scores[name].by_seed)
        trainings = len(rates) + seeds - 1
        energy = Cell(text="no training was metered")
        if name in case.training:
            joules = trainings * case.training[name].joules
            energy = Cell(
                text=formatting.quantity(joules, "J"),
                notes=(formatting.quantity(kilowatt_hours_of_joules(joules), "kWh"),),
            )
        yield (*words(name, case.task, ", ".join(rates), str(seeds), str(trainings)), energy)


def trace(dossier: Dossier) -> Section:
    """The first price of each task, step by step from the row of the run to the figure."""
    blocks: list[Block] = [Paragraph(text=f"{SPECIFICATION}. One variant of each task, step by step.")]
    for one in dossier.weighed:
        for price in list(one.prices.values())[:1]:
            lines = tuple(_steps(dossier.asked, price))
            blocks.append(
                Group(title=f"{one.case.title}: {price.name}", blocks=(Items(items=lines),), opened=True)
            )
    return Section(name="trace", title="How a figure is worked out", blocks=tuple(blocks))


def _steps(asked: Asked, price: Price) -> Iterator[tuple[str, str]]:
    reading, count = price.reading, divisor(price.reading, asked.unit)
    yield (
        "Rows",
        f"suite {reading.suite}, subject {reading.subject}, metric joules, in measurements.jsonl of the run; "
        f"{reading.basis}, mean {reading.joules:.6g} J a call",
    )
    joules = reading.joules / count
    yield f"Joules of {EACH[asked.unit]}", f"{reading.joules:.6g} J / {count:,} = {joules:.6g} J"
    yield (
        "E",
        f"{joules:.6g} J · PUE {asked.applied_pue:g} / 3,600,000 J a kWh = {price.kilowatt_hours:.6g} kWh",
    )
    intensity = asked.grams_per_kilowatt_hour
    if intensity is None:
        return
    grams = price.estimate(price.operational).mean
    yield "O = E · I", f"{price.kilowatt_hours:.6g} kWh · {intensity:g} g/kWh = {grams:.6g} g"
    if asked.embodied is None or not price.embodied:
        return
    seconds, made = price.estimate(price.seconds).mean, price.estimate(price.embodied).mean
    given = asked.embodied
    yield (
        "M = TE · (TiR / EL) · (RR / ToR)",
        f"{given.kilograms:g} kg · 1,000 · ({seconds:.6g} s / ({given.years:g} · 31,536,000 s)) · "
        f"{given.share:g} = {made:.6g} g",
    )
    yield "SCI = O + M", f"{grams:.6g} g + {made:.6g} g = {price.estimate(price.total).mean:.6g} g"


def failed(dossier: Dossier) -> Section:
    """Every row of energy or accuracy without a number, and what of the runs is missing."""
    blocks: list[Block] = []
    results = dossier.results
    if results.set_aside:
        torn = formatting.plural(results.set_aside, "torn line")
        blocks.append(Paragraph(text=f"{torn} of the runs set aside and not used.", warning=True))
    if results.incomplete:
        blocks.append(Paragraph(text="A run has not come to its end.", warning=True))
    found = [failure for failure in failures(results.frame) if failure.suite in _SUITES]
    rows = tuple(
        (
            Cell(text=failure.implementation),
            Cell(text=failure.suite),
            Cell(word=failure.status),
            Cell(text=summary(failure.reason)),
            Cell(text=", ".join(failure.subjects)),
        )
        for failure in found
    )
    if rows:
        caption = "None of these was turned into a number, and none is in any sum."
        blocks.append(
            Table(caption=caption, columns=columns("variant", "suite", "status", "reason", "what"), rows=rows)
        )
    else:
        blocks.append(
            Paragraph(text="Of energy and accuracy nothing failed and nothing that was asked for is missing.")
        )
    return Section(name="failed", title="Failed runs and rows", blocks=tuple(blocks))


def record(dossier: Dossier, files: Sequence[tuple[str, str]]) -> Section:
    """Machines, commits, commands, and the files that were written beside this one."""
    blocks: list[Block] = []
    for manifest in dossier.results.manifests:
        blocks.append(Items(items=tuple(_run(manifest))))
        blocks.append(Listing(title="measured with", text=command(manifest)))
    blocks.append(
        Listing(title="this document was written with", text=dossier.asked.command or "not recorded")
    )
    for manifest in dossier.results.manifests:
        environment = flattened(manifest.get("environment") or {})
        table = Table(
            caption="The machine and its software as the run recorded them; None: could not be read.",
            columns=columns("what", "value"),
            rows=tuple(words(name, text) for name, text in environment.items()),
        )
        blocks.append(Group(title=f"Environment of {manifest['run']}", blocks=(table,), opened=True))
    blocks.append(
        Table(
            caption="Files beside this document.",
            columns=columns("file", "what"),
            rows=tuple(words(*file) for file in files),
        )
    )
    return Section(name="record", title="Environment, commit, command", blocks=tuple(blocks))


def _run(manifest: Any) -> Iterator[tuple[str, str]]:
    environment = manifest.get("environment") or {}
    commit = str(environment.get("commit") or "not recorded")
    if environment.get("dirty"):
        commit += ", with changes that were not committed"
    yield "run", str(manifest["run"])
    ended = manifest.get("finished_at")
    until = formatting.moment(ended) if ended else "not finished"
    yield "measured", f"{formatting.moment(manifest['started_at'])} to {until}"
    yield "commit", commit
    yield (
        "profile and seed",
        f"{manifest.get('profile', 'not recorded')}, {manifest.get('seed', 'not recorded')}",
    )
