"""The first page: the decision, the functional unit, the answer, and whether anything would change it."""

from __future__ import annotations

from collections.abc import Iterator

from reports import formatting
from reports.audit.cases import A_UNIT
from reports.audit.dossier import Dossier, Weighed
from reports.audit.ranking import in_words
from reports.audit.readings import Reading
from reports.content import Block, Group, Items, Paragraph, Section

SPECIFICATION = (
    "Software Carbon Intensity, specification v1.1 of the Green Software Foundation (ISO/IEC 21031:2024): "
    "SCI = (E · I + M) per R"
)


def decision(dossier: Dossier) -> Section:
    """For each task: what is to be decided, on what, and the answer."""
    blocks: list[Block] = [
        Group(title=one.case.title, blocks=(Items(items=tuple(_lines(dossier, one))),), opened=True)
        for one in dossier.weighed
    ]
    if not blocks:
        blocks.append(Paragraph(text=NO_TASK, warning=True))
    return Section(name="decision", title="Decision and answer", blocks=tuple(blocks))


NO_TASK = (
    "No trained model was metered, only made-up work: there is no functional unit at a stated accuracy, so "
    "this document gives energy of calls and no score."
)


def _lines(dossier: Dossier, one: Weighed) -> Iterator[tuple[str, str]]:
    case, unit = one.case, dossier.asked.unit
    names = formatting.listed([name.rpartition("@")[0] for name in case.names], "or")
    yield (
        "Decision",
        f"which attention to use in the model of the task {case.task} on {case.framework}: {names}. "
        "Model, data, steps and machine are the same for all.",
    )
    yield "Functional unit R", f"{A_UNIT[unit]}, at the score that stands beside it in the table below"
    yield "Answer", answer(one)
    yield "Score", _score(one)
    yield "How sure", how_sure(one)
    if one.flips:
        yield "What would change it", would_change(one)


def answer(one: Weighed) -> str:
    """The order in one sentence, or why there is none."""
    ranking = one.ranking
    if ranking.refusal:
        return ranking.refusal
    if not ranking.order:
        return "No variant gives this functional unit with energy that was read: nothing is ordered."
    if not ranking.neighbours:
        return f"Only {ranking.order[0]} gives this functional unit: there is nothing to choose between."
    first = ranking.neighbours[0]
    if first.told_apart:
        return f"{first.cheaper} costs least: {in_words(first)}."
    tied = [first.cheaper, first.dearer]
    for pair in ranking.neighbours[1:]:
        if pair.told_apart:
            break
        tied.append(pair.dearer)
    return f"{formatting.listed(tied)} cost least, and their figures do not tell them apart."


def _score(one: Weighed) -> str:
    if one.no_score:
        return f"not an SCI score, because {one.no_score}. The table holds what is known of it."
    return f"an SCI score, of the boundary below: {SPECIFICATION}"


def how_sure(one: Weighed) -> str:
    """Random and method uncertainty in one sentence each."""
    found = [price.reading for price in one.prices.values()]
    if not found:
        return "nothing was metered for this functional unit"
    bases = formatting.listed(list(dict.fromkeys(reading.basis for reading in found)))
    tiers = formatting.listed(list(dict.fromkeys(reading.method for reading in found)))
    random = f"random: t intervals at {1 - one.case.alpha:.0%} over {bases}"
    if any(reading.launches == 1 for reading in found):
        random += ", which hold nothing of what differs from one launch to the next"
    return f"energy is {tiers}. {random[0].upper()}{random[1:]}. Method: {_method(found)}."


def _method(found: list[Reading]) -> str:
    told = []
    for reading in found:
        bounds = reading.method_bounds()
        basis = reading.details.get("method_basis", "")
        words = f"true joules {bounds[0]:g} to {bounds[1]:g} times those told" if bounds else "nobody can say"
        told.append(f"{words} ({basis})" if basis else words)
    return "; ".join(dict.fromkeys(told))


def would_change(one: Weighed) -> str:
    """What flips some pair's order, and what cannot flip any."""
    whats = list(dict.fromkeys(flip.what for flip in one.flips))
    answers = {what: [flip.answer for flip in one.flips if flip.what == what] for what in whats}
    flipping = [what for what in whats if "flips" in answers[what]]
    never = [what for what in whats if set(answers[what]) == {"cannot flip"}]
    rest = [what for what in whats if what not in flipping and what not in never]
    parts = [
        f"{formatting.listed(flipping)} can change the order of neighbours" if flipping else "",
        f"{formatting.listed(never)} cannot" if never else "",
        f"of {formatting.listed(rest)} no flip is known" if rest else "",
    ]
    return "; ".join(filter(None, parts)) + ": see “Would another setting change the order”"
