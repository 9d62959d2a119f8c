"""Write the ranked results of a benchmark as one self-contained HTML file."""

import base64
import html
import io
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from delfjax.datasets.truth import relevance
from delfjax.evaluation.benchmark import Evaluation
from delfjax.files import printable, write_output
from delfjax.types import Photo

MAX_RESULTS = 10  # results shown for each query
MAX_HEIGHT, MAX_WIDTH = 120, 480  # maximum size of a thumbnail in pixels
JPEG_QUALITY = 72

STYLE = """
body{font:14px/1.4 system-ui,sans-serif;margin:2rem auto;max-width:1320px;padding:0 1rem;color:#222}
h1{font-size:1.4rem;margin:0} p{color:#555} section{border-top:1px solid #ddd;padding:.7rem 0}
h2{font-size:.95rem;font-weight:600;margin:.2rem 0 .5rem} .row{display:flex;flex-wrap:wrap;gap:8px}
figure{margin:0;border:3px solid #bbb;border-radius:4px;background:#f5f5f5}
figure img{display:block;height:105px} figcaption{font-size:12px;padding:2px 6px;color:#333}
.correct{border-color:#2e9e62} .wrong{border-color:#d0433e}
.query{border-color:#333;margin-right:14px}
"""


def write_html_report(evaluation: Evaluation, path: Path) -> None:
    """Write an HTML file that shows each query and its first results.

    The query with the lowest average precision comes first. The default protocol of the benchmark
    defines which results are correct. Junk (photos that the scores ignore) is left out.

    Raises:
        PhotoError: If a photo can no longer be read.
        StoreError: If the file cannot be written.
    """
    benchmark = evaluation.benchmark
    scores = evaluation.scores[benchmark.default_protocol]
    thumbnail = cache(lambda name: _encode_thumbnail(benchmark.query_photos.load(name)))
    order = np.argsort(scores.average_precision, kind="stable").tolist()
    sections = [
        _section(evaluation, query, thumbnail)
        for query in tqdm(order, desc="HTML report", unit="query", leave=False)
    ]
    text = (
        f"<!doctype html><meta charset=utf-8><title>Ranked results</title><style>{STYLE}</style>"
        f"<h1>{_escape(benchmark.name)}: mAP {100 * scores.mean_average_precision:.1f}</h1>"
        f"<p>{len(benchmark.queries)} queries, {len(benchmark.database)} database photos. The query "
        "with the lowest average precision (AP) comes first. Green: correct; red: wrong. Below each "
        "result: RANSAC inliers / votes.</p>" + "\n".join(sections)
    )
    write_output(path, text)


def _section(evaluation: Evaluation, query: int, thumbnail: Callable[[str], str]) -> str:
    """Return the HTML of a query and its first results."""
    benchmark = evaluation.benchmark
    name = benchmark.query_photos.names[query]
    truth = benchmark.truths[benchmark.default_protocol][query]
    ranking = evaluation.results[query].ranking
    figures = [_figure(thumbnail(name), "query", "query")]
    columns = (ranking.images.tolist(), ranking.inliers, ranking.votes)
    for image, inliers, votes in zip(*columns, strict=True):
        judged = relevance(truth, image)
        if judged != "junk" and len(figures) <= MAX_RESULTS:
            photo = thumbnail(benchmark.database[image])
            figures.append(_figure(photo, f"{inliers} / {votes}", judged))
    precision = 100 * evaluation.scores[benchmark.default_protocol].average_precision[query]
    title = f"<h2>{_escape(name)} &middot; AP {precision:.1f}</h2>"
    return f"<section>{title}<div class=row>{''.join(figures)}</div></section>"


def _figure(thumbnail: str, caption: str, kind: str) -> str:
    image = f'<img src="data:image/jpeg;base64,{thumbnail}" alt="">'
    return f"<figure class={kind}>{image}<figcaption>{caption}</figcaption></figure>"


def _escape(text: str) -> str:
    return html.escape(printable(text))


def _encode_thumbnail(photo: Photo) -> str:
    """Return a small JPEG of a photo, encoded in base64."""
    image = Image.fromarray(photo)
    image.thumbnail((MAX_WIDTH, MAX_HEIGHT))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=JPEG_QUALITY)
    return base64.b64encode(stream.getvalue()).decode()
