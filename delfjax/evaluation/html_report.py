"""A page of ranked results: one self-contained HTML file that opens anywhere."""

import base64
import html
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from delfjax.evaluation.benchmark import Evaluation
from delfjax.types import Photo

HEIGHT, WIDTH = 120, 480  # pixels at most: a page shows all at one height
QUALITY = 72  # JPEG

STYLE = """
body{font:14px/1.4 system-ui,sans-serif;margin:2rem auto;max-width:1320px;padding:0 1rem;color:#222}
h1{font-size:1.4rem;margin:0} p{color:#555} section{border-top:1px solid #ddd;padding:.7rem 0}
h2{font-size:.95rem;font-weight:600;margin:.2rem 0 .5rem} .row{display:flex;flex-wrap:wrap;gap:8px}
figure{margin:0;border:3px solid #bbb;border-radius:4px;background:#f5f5f5}
figure img{display:block;height:105px} figcaption{font-size:12px;padding:2px 6px;color:#333}
.right{border-color:#2e9e62} .wrong{border-color:#d0433e} .query{border-color:#333;margin-right:14px}
"""


def write_page(
    evaluation: Evaluation, load: Callable[[str], Photo], path: Path, *, top: int = 10
) -> None:
    """Write each query with its first results, the worst queries first.

    Args:
        evaluation: The rankings.
        load: Gives the photo of a name.
        path: The HTML file.
        top: Results a query.
    """
    thumbnails: dict[str, str] = {}

    def picture(name: str) -> str:
        if name not in thumbnails:
            thumbnails[name] = _thumbnail(load(name))
        return thumbnails[name]

    benchmark = evaluation.benchmark
    scores = evaluation.scores[benchmark.protocol]
    order = np.argsort(scores.average_precision, kind="stable").tolist()
    sections = [
        _section(evaluation, query, picture, top)
        for query in tqdm(order, desc="page", unit="query", leave=False)
    ]
    text = (
        f"<!doctype html><meta charset=utf-8><title>Ranked results</title><style>{STYLE}</style>"
        f"<h1>mAP {100 * scores.mean_average_precision:.1f}</h1>"
        f"<p>{len(benchmark.queries)} queries, {len(benchmark.database)} database photos; the worst "
        "queries first. Green: the query's class; red: another. Below each: RANSAC inliers, votes.</p>"
        + "\n".join(sections)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _section(evaluation: Evaluation, query: int, picture: Callable[[str], str], top: int) -> str:
    benchmark = evaluation.benchmark
    name = benchmark.query_photos.names[query]
    truth = benchmark.truths[benchmark.protocol][query]
    ranking = evaluation.answers[query].ranking
    figures = [_figure(picture(name), "query", "query")]
    for image, inliers, votes in zip(ranking.images, ranking.inliers, ranking.votes, strict=True):
        if image in truth.junk:
            continue
        right = "right" if image in truth.positives else "wrong"
        caption = f"{inliers} / {votes}"
        figures.append(_figure(picture(benchmark.database[image]), caption, right))
        if len(figures) > top:
            break
    precision = 100 * evaluation.scores[benchmark.protocol].average_precision[query]
    title = f"<h2>{html.escape(name)} &middot; AP {precision:.1f}</h2>"
    return f"<section>{title}<div class=row>{''.join(figures)}</div></section>"


def _figure(source: str, caption: str, kind: str) -> str:
    picture = f'<img src="data:image/jpeg;base64,{source}" alt="">'
    return f"<figure class={kind}>{picture}<figcaption>{caption}</figcaption></figure>"


def _thumbnail(photo: Photo) -> str:
    image = Image.fromarray(photo)
    image.thumbnail((WIDTH, HEIGHT))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=QUALITY)
    return base64.b64encode(stream.getvalue()).decode()
