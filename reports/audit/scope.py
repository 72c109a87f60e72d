"""What is counted and what is not, and the auditor's inputs: intensity, PUE, embodied carbon."""

from __future__ import annotations

from collections.abc import Iterator

from reports.audit.asked import Asked
from reports.audit.dossier import Dossier
from reports.audit.prices import NO_EMBODIED, NO_INTENSITY
from reports.content import Block, Items, Paragraph, Section, Table, columns, words

NOT_COUNTED = (
    (
        "memory (RAM)",
        "told apart below, in no sum and no order: often a rule of thumb, the same for every variant",
    ),
    ("storage, network, other computers", "not metered"),
    ("cooling and power supply of the building", "only through PUE, where one was given"),
    (
        "losses of the machine's own power supply, fans, board",
        "not seen by counters of processor and accelerator",
    ),
    ("preparing data, evaluation, failed attempts", "not metered"),
    ("waiting for requests", "time between calls: gross energy holds idle power only while a call runs"),
    ("offsets, certificates, power purchase agreements", "market-based; the SCI leaves them out"),
)


def boundary(dossier: Dossier) -> Section:
    """One table: in, out, and why."""
    rows = [
        words("processor", "in", "gross energy while calls run, idle power included"),
        words("accelerator", "in", "the same; none where the machine has none"),
        words("training", "apart", "a functional unit of its own; see break-even for training with serving"),
        words("search for a learning rate, other seeds", "out", "see “What finding the model took”"),
    ]
    rows.append(
        words("making and scrapping the machine", "in", "allocated by time and share, see below")
        if dossier.asked.embodied
        else words("making and scrapping the machine", "out", "no estimate was given")
    )
    rows += [words(what, "out", why) for what, why in NOT_COUNTED]
    table = Table(
        caption="The boundary of every figure in this document.",
        columns=columns("part", "in or out", "why"),
        rows=tuple(rows),
    )
    return Section(name="boundary", title="Boundary", blocks=(table,))


def inputs(dossier: Dossier) -> Section:
    """What the auditor gave, each with its source; what was not given is said."""
    blocks: list[Block] = [Items(items=tuple(_inputs(dossier.asked)))]
    if dossier.asked.intensity is None:
        blocks.append(
            Paragraph(
                text="Nothing is assumed about a country that was not given: this document holds energy only."
            )
        )
    return Section(name="inputs", title="Intensity, PUE, embodied carbon", blocks=tuple(blocks))


def _inputs(asked: Asked) -> Iterator[tuple[str, str]]:
    found = asked.intensity
    if found is None:
        yield "Intensity I", NO_INTENSITY
    else:
        yield "Intensity I", f"{found.grams_per_kilowatt_hour:g} g CO2e per kWh ({found.kind})"
        yield "Zone and year", f"{found.zone}, {found.year}"
        yield "Source of intensity", found.source
    if asked.pue is None:
        yield "PUE", "none was given: energy is that of the computer alone (factor 1)"
    else:
        yield "PUE", f"{asked.pue:g}, as given; applied once, to E, and nowhere before"
    if asked.embodied is None:
        yield "Embodied carbon M", NO_EMBODIED
        return
    given = asked.embodied
    yield (
        "Embodied carbon M",
        f"{given.kilograms:g} kg CO2e for the whole machine over {given.years:g} years of 8,760 hours, share "
        f"{given.share:g}: {given.grams_a_second * 3600:.4g} g an hour",
    )
    yield (
        "Allocation",
        "M = TE · (TiR / EL) · (RR / ToR), with TiR the time of the calls themselves: a machine that waits "
        "between calls has more of it a call",
    )
    yield "Source of embodied", given.source
