"""Every figure of the paper, and where ours is: which notebook makes it, and a small picture of it."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from PIL import Image

SIZE = (300, 170)  # pixels of a small picture, at most
QUALITY = 72  # JPEG
COLUMNS = 3
HERE = "06_tables"  # shows its own at full size


@dataclass(frozen=True, kw_only=True)
class Place:
    """A figure of the paper, and ours.

    Attributes:
        number: The paper's.
        shows: What ours shows.
        notebook: That makes it.
        file: That it is saved as; None where it is not.
    """

    number: int
    shows: str
    notebook: str
    file: str | None = None


PLACES = (
    Place(number=1, shows="the system, traced from its modules", notebook=HERE),
    Place(
        number=2,
        shows="queries and the boxes that are asked for",
        notebook="01_data",
        file="data_queries.jpg",
    ),
    Place(
        number=3,
        shows="cameras around each landmark, in place of a map of the world",
        notebook="01_data",
        file="data_from_above.png",
    ),
    Place(number=4, shows="the two steps of training", notebook=HERE),
    Place(number=5, shows="precision and recall with distractor queries", notebook=HERE),
    Place(
        number=6,
        shows="where local features find more than a global descriptor",
        notebook="04_retrieval",
        file="retrieval_fig6.jpg",
    ),
    Place(
        number=7,
        shows="where a global descriptor finds more",
        notebook="04_retrieval",
        file="retrieval_fig7.jpg",
    ),
    Place(
        number=8,
        shows="correspondences that are left after verification",
        notebook="04_retrieval",
        file="retrieval_fig8.jpg",
    ),
    Place(
        number=9,
        shows="keypoints by norm and by attention",
        notebook="03_attention",
        file="attention_fig9.jpg",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Figures beside each other, for a notebook.

    Attributes:
        folder: Where notebooks save theirs.
        figures: Which.
    """

    folder: Path
    figures: Sequence[Place] = PLACES

    def missing(self) -> list[Place]:
        """Return the figures whose notebook has not saved them yet."""
        return [each for each in self.figures if each.file and not self._path(each).is_file()]

    def text(self) -> str:
        """Say where each is, a line a figure."""
        return "\n".join(f"Fig. {each.number}  {self._where(each)}" for each in self.figures)

    def _repr_html_(self) -> str:
        cells = [
            f"<td style='vertical-align:top;text-align:left;width:33%'>{self._cell(each)}</td>"
            for each in self.figures
        ]
        rows = [cells[start : start + COLUMNS] for start in range(0, len(cells), COLUMNS)]
        lines = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
        return f"<table>{lines}</table>"

    def _path(self, figure: Place) -> Path:
        return self.folder / figure.file

    def _where(self, figure: Place) -> str:
        if figure.notebook == HERE:
            return f"{figure.shows}: in this notebook"
        lacking = " (not made yet: run it)" if figure in self.missing() else ""
        return f"{figure.shows}: {figure.notebook}.ipynb{lacking}"

    def _cell(self, figure: Place) -> str:
        words = f"<b>Fig. {figure.number}</b> {escape(self._where(figure))}"
        if figure.file is None or figure in self.missing():
            return words
        source, alt = small_jpeg(self._path(figure)), escape(figure.shows, quote=True)
        picture = f"<img src='data:image/jpeg;base64,{source}' alt='{alt}'>"
        return f"<a href='{figure.notebook}.ipynb'>{picture}</a><br>{words}"


def small_jpeg(path: Path) -> str:
    """Read a picture file, shrink it, and return it as a JPEG in base64; what is transparent turns white."""
    with Image.open(path) as opened:
        picture = opened.convert("RGBA")
    picture.thumbnail(SIZE)
    white = Image.new("RGBA", picture.size, "white")
    stream = io.BytesIO()
    Image.alpha_composite(white, picture).convert("RGB").save(stream, "JPEG", quality=QUALITY)
    return base64.b64encode(stream.getvalue()).decode()
