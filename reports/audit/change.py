"""Whether another setting would change the order: flips, break-even of training and serving, other grids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from reports import formatting
from reports.audit.asked import Asked
from reports.audit.carbon import break_even
from reports.audit.cases import EACH, MANY, Case
from reports.audit.dossier import Dossier, Weighed
from reports.audit.intensities import Country, IntensityError
from reports.audit.prices import Price, prices
from reports.audit.ranking import Ranking
from reports.audit.tables import MILLION
from reports.content import Block, Cell, Group, Paragraph, Section, Table, columns

_FLIPS = (
    "Neighbours in the order, the cheaper first, from their mean prices with everything else as it is. Those "
    "that the evidence does not tell apart are not asked about."
)


def change(dossier: Dossier) -> Section:
    """For each task: what would change the order, break-even, and the same on other grids."""
    blocks: list[Block] = [
        Group(title=one.case.title, blocks=tuple(_of_case(dossier.asked, one)), opened=True)
        for one in dossier.weighed
    ]
    if not blocks:
        blocks.append(Paragraph(text="Nothing was ordered, so nothing can change."))
    return Section(name="change", title="Would another setting change the order", blocks=tuple(blocks))


def _of_case(asked: Asked, one: Weighed) -> Iterator[Block]:
    if one.ranking.refusal:
        yield Paragraph(text=f"There is no order that could change. {one.ranking.refusal}")
    elif one.flips:
        yield _flip_table(one)
    else:
        yield Paragraph(
            text="No two variants that give this functional unit are told apart: there is no order."
        )
    rows = list(_break_even(asked, one.case))
    if rows:
        yield _break_even_table(rows, modelled=any(not r.reading.read for r in one.prices.values()))
    else:
        yield Paragraph(text="Break-even needs a training and its inferences, both metered: they were not.")
    yield from _what_if(asked, one)


def _flip_table(one: Weighed) -> Table:
    rows = tuple(
        (
            Cell(text=f"{flip.cheaper} before {flip.dearer}"),
            Cell(text=flip.what),
            Cell(text=flip.now),
            Cell(word=flip.answer),
            Cell(text=flip.text),
        )
        for flip in one.flips
    )
    return Table(
        caption=_FLIPS, columns=columns("neighbours", "what", "now", "answer", "where or why"), rows=rows
    )


def _break_even(asked: Asked, case: Case) -> Iterator[tuple[Cell, ...]]:
    serving, training = prices(case, asked, "inference"), prices(case, asked, "training")
    for name in case.names:
        if name in serving and name in training and bool(serving[name].total) == bool(training[name].total):
            yield tuple(_break_even_row(serving[name], training[name]))


def _break_even_row(serving: Price, training: Price) -> Iterator[Cell]:
    once, each = training.estimate(training.deciding), serving.estimate(serving.deciding)
    yield Cell(text=serving.name)
    yield Cell(text=formatting.quantity(once.mean, training.unit))
    yield Cell(text=formatting.quantity(each.mean, serving.unit))
    interval = "no interval"
    if once.low and once.high and each.low and each.high:
        ends = break_even(once.low, each.high), break_even(once.high, each.low)
        interval = " to ".join(map(formatting.length, ends))
    yield Cell(text=formatting.length(break_even(once.mean, each.mean)), notes=(interval,))


def _break_even_table(rows: Sequence[tuple[Cell, ...]], *, modelled: bool) -> Table:
    caption = (
        "After how many inferences serving has cost as much as the one training; below it the ends of both "
    )
    caption += "intervals put together."
    if modelled:
        caption += " With modelled energy this is a ratio of times."
    return Table(
        caption=caption,
        columns=columns("variant", "a training #", "an inference #", "inferences #"),
        rows=tuple(rows),
    )


def _what_if(asked: Asked, one: Weighed) -> Iterator[Block]:
    if asked.intensity is None:
        text = "No country and no intensity were given, so nothing is said in grams, of other grids either."
        yield Paragraph(text=text)
    elif asked.countries is None:
        yield Paragraph(text=f"No table over countries: {asked.no_countries}.")
    elif one.prices:
        yield _grids(asked, one, list(_asked_about(asked)))


def _asked_about(asked: Asked) -> Iterator[Country]:
    """The largest grids, and the one that was given where it is none of them."""
    assert asked.countries is not None
    rows = list(asked.countries.largest())
    own = asked.countries.rows.get(asked.country)
    if own is not None and own not in rows:
        rows.append(own)
    yield from sorted(rows, key=lambda row: row.grams_per_kilowatt_hour)


def _grids(asked: Asked, one: Weighed, rows: Sequence[Country]) -> Table:
    many = MANY.get(asked.unit, EACH[asked.unit])
    sort = "score" if not one.no_score else "operational grams"
    caption = (
        f"What if the same calls ran on another grid: {sort} of {many}. Annual means, of the grids that "
        "generate most electricity and the one given."
    )
    heads = ("country", "year", "g/kWh #", *(f"{name} #" for name in one.prices), "order")
    return Table(
        caption=caption,
        columns=columns(*heads),
        rows=tuple(tuple(_grid_row(asked, one, country)) for country in rows),
    )


def _grid_row(asked: Asked, one: Weighed, country: Country) -> Iterator[Cell]:
    assert asked.countries is not None
    name = f"{country.name} ({country.code})"
    yield Cell(text=name, mark="as given" if country.code == asked.country else "")
    yield Cell(text=str(country.year))
    yield Cell(text=f"{country.grams_per_kilowatt_hour:.0f}")
    try:
        there = replace(asked, intensity=asked.countries.intensity(country.code))
    except IntensityError as error:
        yield from (Cell(text=str(error)) for _ in (*one.prices, ""))
        return
    found = prices(one.case, there, asked.unit)
    factor = 1.0 if asked.unit == "training" else MILLION
    means = {name: price.estimate(price.deciding).mean * factor for name, price in found.items()}
    for name in one.prices:
        yield Cell(text=formatting.quantity(means[name], "g"))
    yield Cell(text=_same_order(one.ranking, means))


def _same_order(ranking: Ranking, means: dict[str, float]) -> str:
    if ranking.refusal or len(ranking.order) < 2:
        return "not ranked"
    order = tuple(sorted(ranking.order, key=means.__getitem__))
    return "the same" if order == ranking.order else f"changes: {formatting.listed(order)}"
