"""Web pages that show ranked photos. Each page is one HTML file that contains all its images.

A page has no scripts and loads no other files. File names are escaped, so they cannot add HTML to a
page. A name that is written from right to left does not reorder the text around it.
"""

import html
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from delfjax.datasets.benchmark import relevance
from delfjax.evaluation.benchmark import Evaluation
from delfjax.features.database import Database
from delfjax.files import printable, write_output
from delfjax.images.reading import PhotoError
from delfjax.plots.base import NEUTRAL, RgbImage, data_url, fit_size, pluralize, resize
from delfjax.plots.pairs import pair_image
from delfjax.plots.retrieval import RELEVANCE_MARKS, VERDICT_MARKS
from delfjax.search.searcher import SearchResult
from delfjax.types import Features, Photo

MAX_RESULTS = 10  # results shown for each query of an evaluation
REPORT_SIZE, CARD_SIZE, PHOTO_SIZE = (120, 480), (360, 480), (600, 800)  # maximum, in pixels
# Pictures of matching details on a search page: their number, width in pixels, and number of lines.
MAX_PAIRS, PAIR_WIDTH, MAX_LINES = 6, 1400, 50
INVISIBLE = "\u200c\u200d\u200e\u200f"  # harmless characters in emoji and in Arabic words

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:1500px;padding:1.5rem 1rem;
color:#222;background:#fff} h1{font-size:1.5rem;line-height:1.25;margin:0 0 .5rem} p{margin:.4rem 0}
img{display:block;max-width:100%;height:auto} bdi,code{overflow-wrap:anywhere} figure{margin:0}
"""
REPORT_STYLE = """
body{font-size:14px} p{color:#555} section{border-top:1px solid #ddd;padding:.7rem 0}
h2{font-size:.95rem;font-weight:600;margin:.2rem 0 .5rem} .row{display:flex;flex-wrap:wrap;gap:8px}
.row figure{border:3px solid #333;border-radius:4px;background:#f5f5f5} .query{margin-right:14px}
.row img{height:105px} figcaption{font-size:12px;padding:2px 6px;color:#333}
"""
SEARCH_STYLE = """
header{display:flex;flex-wrap:wrap;gap:1.5rem;align-items:center} header div{flex:1 1 20rem}
header img{width:auto;max-height:320px;border-radius:8px} h2{font-size:1.2rem;margin:2rem 0 .5rem}
ol,ul{list-style:none;margin:0;padding:0} .small{font-size:.875rem;color:#555} a{color:inherit}
.grid{display:grid;gap:1rem;grid-template-columns:repeat(auto-fill,minmax(min(45%,210px),1fr))}
.grid li{border:1px solid #ddd;border-top:6px solid;border-radius:8px;overflow:hidden}
.grid p{margin:.4rem .6rem} .grid img,.none{width:100%;aspect-ratio:4/3;object-fit:contain;
background:#eef0f2} .none{display:grid;place-items:center;text-align:center}
.pairs{display:grid;gap:1.5rem;grid-template-columns:repeat(auto-fill,minmax(min(100%,560px),1fr))}
.pairs img{border-radius:8px} .mark{display:inline-block;width:1.4em;margin-right:.4em;
border-radius:4px;color:#fff;text-align:center;font-weight:700} li+li>.mark{margin-top:.25rem}
footer{border-top:1px solid #ddd;margin-top:2rem;padding-top:.5rem} summary{cursor:pointer}
"""
VERDICT_HELP = (
    "delfjax compares small details, such as windows and ornaments. Many matching details in the "
    "same arrangement mean the same place. The percentage is an estimate, so look at the photos."
)
LINES_HELP = (
    f"Each line connects a detail of your photo (left) with the matching detail of the result. At most "
    f"{MAX_LINES} lines are drawn."
)


def write_evaluation_page(evaluation: Evaluation, path: Path) -> None:
    """Write an HTML file that shows each query and its first results.

    The query with the lowest average precision comes first. The default protocol of the benchmark
    defines which results are correct. Junk (photos that the scores ignore) is left out.

    Raises:
        PhotoError: If a photo can no longer be read.
        StoreError: If the file cannot be written.
    """
    benchmark = evaluation.benchmark
    scores = evaluation.scores[benchmark.default_protocol]
    thumbnail = cache(lambda name: shrink(benchmark.query_photos.load(name), REPORT_SIZE))
    order = np.argsort(scores.average_precision, kind="stable").tolist()
    sections = [
        _section(evaluation, query, thumbnail)
        for query in tqdm(order, desc="HTML page", unit="query", leave=False)
    ]
    correct, wrong = (f"{RELEVANCE_MARKS[kind][0]}: {kind}" for kind in ("correct", "wrong"))
    body = (
        f"<h1>{_escape(benchmark.name)}: mAP {100 * scores.mean_average_precision:.1f}</h1>"
        f"<p>{len(benchmark.queries)} queries, {len(benchmark.database)} database photos. The query "
        f"with the lowest average precision (AP) comes first. {correct} (blue); {wrong} (orange). "
        "Below each result: RANSAC inliers (-1: not verified) / votes. A third number is the score by "
        "which the photos are ranked.</p>" + "\n".join(sections)
    )
    write_output(path, html_page("Ranked results", REPORT_STYLE, body))


def _section(evaluation: Evaluation, query: int, thumbnail: Callable[[str], RgbImage]) -> str:
    """Return the HTML of a query and its first results."""
    benchmark = evaluation.benchmark
    name = benchmark.query_photos.names[query]
    truth = benchmark.truths[benchmark.default_protocol][query]
    ranking = evaluation.results[query].ranking
    figures = [
        f"<figure class=query>{image_tag(thumbnail(name), f'query {name}')}<figcaption>query"
    ]
    columns = (ranking.images.tolist(), ranking.inliers, ranking.votes, ranking.score)
    for image, inliers, votes, score in zip(*columns, strict=True):
        judged = relevance(truth, image)
        if judged != "junk" and len(figures) <= MAX_RESULTS:
            mark, color = RELEVANCE_MARKS[judged]
            photo = image_tag(thumbnail(benchmark.database[image]), benchmark.database[image])
            caption = f"<figcaption>{mark} {inliers} / {votes}"
            caption += "" if ranking.scores is None else f"; {score:.2f}"
            figures.append(f'<figure style="border-color:{color}">{photo}{caption}')
    precision = 100 * evaluation.scores[benchmark.default_protocol].average_precision[query]
    title = f"<h2>{_escape(name)} &middot; AP {precision:.1f}</h2>"
    row = "".join(f"{figure}</figcaption></figure>" for figure in figures)
    return f"<section>{title}<div class=row>{row}</div></section>"


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchPage:
    """Web page of a search: the query, the found photos, and their matching details (inliers).

    Attributes:
        query: Name of the query.
        photo: The query photo.
        features: Features of the query.
        folder: Name of the folder that was searched: photos or a feature store.
        database: Database that was searched.
        result: Result of the search.
        images: Database indices of the found photos, best first.
        load: Function that maps the name of a database photo to the photo. If it raises a
            `PhotoError`, the page shows a note instead of the photo.
        notes: Mapping from titles to lists for the end of the page, such as unreadable photos.
        command: Command that made the page, to be shown on it.
    """

    query: str
    photo: Photo
    features: Features
    folder: str
    database: Database
    result: SearchResult
    images: Sequence[int]
    load: Callable[[str], Photo]
    notes: Mapping[str, Sequence[str]]
    command: str

    def write(self, path: Path, top: int) -> None:
        """Write the page with the first ``top`` results. Raise a `StoreError` if this fails."""
        verdicts = self.result.verdicts
        labels = Counter[str](verdicts[each].label for each in self.images if each in verdicts)
        counts = [
            f"<li>{_mark(label)}{pluralize(labels[label], 'photo')}: {label}</li>"
            for label in VERDICT_MARKS
        ]
        cards, pairs = list[str](), list[str]()
        for rank, image in enumerate(self.images[:top], 1):
            card, pair = self._draw_result(rank, image, has_pair=len(pairs) < MAX_PAIRS)
            cards.append(card)
            pairs += [pair] if pair else []
        photo = image_tag(shrink(self.photo, PHOTO_SIZE), f"the query, {self.query}")
        searched = f"{pluralize(len(self.database), 'photo')} in the folder {_name(self.folder)}"
        compared = f"The most similar photos were compared in detail ({labels.total():,}):"
        results = f"<ol class=grid>{''.join(cards)}</ol>" if cards else "<p>No photo was found.</p>"
        details = (
            f"<h2>Matching details</h2><p>{LINES_HELP}</p><div class=pairs>{''.join(pairs)}</div>"
        )
        notes = [
            f"<details><summary>{_escape(title)} ({len(lines)})</summary><ul>"
            f"{''.join(f'<li>{_name(line)}</li>' for line in lines)}</ul></details>"
            for title, lines in self.notes.items()
            if lines
        ]
        body = (
            f"<header>{photo}<div><h1>Which photos show the same place as {_name(self.query)}?</h1>"
            f"<p>delfjax has searched {searched}. {compared}</p><ul>{''.join(counts)}</ul>"
            f"<p class=small>{VERDICT_HELP}</p></div></header>"
            f"<h2>Best results</h2>{results}{details if pairs else ''}"
            f"<footer class=small>{''.join(notes)}"
            f"<p>Command: <code>{_escape(self.command)}</code></p></footer>"
        )
        write_output(
            path, html_page(f"Photos of the same place as {self.query}", SEARCH_STYLE, body)
        )

    def _draw_result(self, rank: int, image: int, *, has_pair: bool) -> tuple[str, str]:
        """Return the HTML of a result, and of the query beside it. The latter may be empty."""
        name, verdict = self.database.names[image], self.result.verdicts.get(image)
        title, color = f"<p><b>{rank}.</b> {_name(name)}</p>", NEUTRAL
        about, details, pair = "not compared in detail", "", ""
        if verdict:
            color = VERDICT_MARKS[verdict.label][1]
            inliers = self.result.verifications[image].inliers
            about = f"{_mark(verdict.label)}<b>{_escape(verdict.text)}</b>"
            details = pluralize(int(inliers.sum()), "matching detail")
        try:
            photo = self.load(name)
            picture = image_tag(shrink(photo, CARD_SIZE), f"result {rank}, {name}")
        except PhotoError:
            has_pair, picture = False, "<div class=none>The file cannot be read.</div>"
        if has_pair and verdict and verdict.label != "different":
            height, width = self.database.image_sizes[image].tolist()
            drawn = pair_image(
                (self.photo, photo),
                (self.features.image_size, (height, width)),
                self.result.matches[image][inliers],
                np.ones(inliers.sum(), bool),
                width=PAIR_WIDTH,
                max_lines=MAX_LINES,
            )
            alt = f"the query beside result {rank}, {name}; lines connect matching details"
            text = f"{title}<p>{about}, {details}</p>"
            pair = f"<figure id=pair-{rank}>{image_tag(drawn, alt)}<figcaption>{text}</figcaption></figure>"
            picture, details = (f"<a href=#pair-{rank}>{each}</a>" for each in (picture, details))
        text = f"<p>{about}</p><p class=small>{details}</p>{title}"
        return f'<li style="border-top-color:{color}">{picture}{text}</li>', pair


def html_page(title: str, style: str, body: str) -> str:
    """Return a web page. ``body`` is HTML, and ``style`` is CSS in addition to `STYLE`."""
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport "
        f'content="width=device-width,initial-scale=1"><title>{_escape(title)}</title>'
        f"<style>{STYLE}{style}</style>{body}</html>"
    )


def _mark(label: str) -> str:
    """Return the symbol of a verdict on a colored ground."""
    symbol, color = VERDICT_MARKS[label]
    return f'<span class=mark aria-hidden=true style="background:{color}">{symbol}</span>'


def image_tag(image: RgbImage, alt: str) -> str:
    """Return an HTML ``<img>`` that contains the image. ``alt`` describes it for screen readers."""
    height, width = image.shape[:2]
    size = f'width="{width}" height="{height}"'
    return f'<img src="{data_url(image)}" alt="{_escape(alt)}" {size}>'


def _name(name: str) -> str:
    return f"<bdi>{_escape(name)}</bdi>"


def _escape(text: str) -> str:
    return html.escape("".join(c if c in INVISIBLE else printable(c) for c in text))


def shrink(photo: Photo, bounds: tuple[int, int]) -> RgbImage:
    """Shrink a photo that exceeds ``bounds``, the maximum height and width. Else, return it."""
    size = fit_size(photo.shape[:2], bounds)
    return resize(photo, size) if size[0] < photo.shape[0] else photo
