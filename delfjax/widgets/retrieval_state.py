"""Describe the result of a search for the retrieval explorer: cards, and a summary."""

from collections.abc import Callable
from pathlib import PurePosixPath

from delfjax.datasets.benchmark import Truth, relevance
from delfjax.evaluation.metrics import score_rankings
from delfjax.features.database import Database
from delfjax.plots.base import pluralize
from delfjax.plots.retrieval import RELEVANCE_MARKS, VERDICT_MARKS, Card
from delfjax.search.searcher import SearchResult
from delfjax.types import Photo

LINE_LENGTH = 20  # characters that fit on a card
SLOW = 1.0  # seconds: a search that takes longer includes compilation


def summarize(result: SearchResult, database: Database, truth: Truth | None, seconds: float) -> str:
    """Summarize a search as HTML: numbers of found and verified photos, time, average precision."""
    if not len(result.ranking):
        return "No photo has a vote. Increase the maximum distance, or drag a larger box."
    verified = int((result.ranking.inliers >= 0).sum())
    parts = [
        f"<b>{len(result.ranking):,} of {pluralize(len(database), 'photo')} have votes</b>",
        f"{verified} verified" if verified else "ranked by votes, none verified",
        f"{1000 * seconds:,.0f} ms",
    ]
    if seconds > SLOW:
        parts[-1] += " (includes compilation of code)"
    if truth is not None and len(truth.positives):
        scores = score_rankings([result.ranking.images], [truth], ks=())
        parts.append(f"average precision {scores.average_precision[0]:.1%}")
    return " · ".join(parts)


def result_cards(
    result: SearchResult,
    database: Database,
    truth: Truth | None,
    load: Callable[[str], Photo],
    count: int,
    itself: int | None = None,
) -> list[Card]:
    """Create cards (thumbnails with three lines of text) of the first ``count`` results.

    The first line is the rank and the name. The second line is the verdict, without percentage if
    it is too long. The third line is the mark of the relevance, and the number of inliers, or of votes
    if RANSAC has not verified the photo. The color of a card is that of the relevance with a
    ``truth``, else of the verdict. ``load`` maps the name of a database photo to its thumbnail.
    ``itself`` is the index of the query, if it is a database photo.
    """
    ranking, cards = result.ranking, []
    for position, image in enumerate(ranking.images[:count].tolist()):
        name, verdict, color = database.names[image], result.verdicts.get(image), None
        text = pluralize(int(ranking.inliers[position]), "inlier")
        if ranking.inliers[position] < 0:  # not verified
            text = pluralize(int(ranking.votes[position]), "vote")
        if truth is not None:
            mark, color = RELEVANCE_MARKS[relevance(truth, image)]
            text = f"{mark} {text}"
        elif verdict:
            color = VERDICT_MARKS[verdict.label][1]
        described = describe_verdict(result, image, itself)
        if verdict and len(described) > LINE_LENGTH:
            described = verdict.label
        lines = (f"{position + 1}  {short_name(name)}", described, text)
        cards.append(Card(photo=load(name), lines=lines, color=color))
    return cards


def describe_verdict(result: SearchResult, image: int, itself: int | None) -> str:
    """Describe the verdict on the photo with index ``image``. For ``itself``: see `result_cards`."""
    if image == itself:
        return "the query itself"
    verdict = result.verdicts.get(image)
    return verdict.text if verdict else "not verified"


def short_name(photo: str) -> str:
    """Return the file name of a photo without folder and suffix."""
    return PurePosixPath(photo).stem
