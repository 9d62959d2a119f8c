"""What the retrieval explorer shows of one answer: results as cards, and one of them beside the query (Sec. 4.4).

Results have places, from 0: the best one's.
"""

from collections.abc import Callable
from dataclasses import dataclass

from delfjax.datasets.truth import Truth, relevance
from delfjax.features.database import Database
from delfjax.geometry.ransac import Verification
from delfjax.images.reading import Box
from delfjax.plots import match_images
from delfjax.plots.base import Figure
from delfjax.plots.match_images import CARD_WIDTH, RELEVANCE_MARKS, pair_image, query_image
from delfjax.plots.thumbnails import Card, thumbnail
from delfjax.search.searcher import SearchResult, SearchConfig
from delfjax.types import Features, Matches, Photo
from delfjax.widgets import retrieval_captions
from delfjax.widgets.retrieval_state import Inquiry, average_precision


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """A query and its answer, ready to be drawn.

    Attributes:
        name: Of the query.
        photo: The query, at any size.
        features: All that it has.
        box: The part that was searched by, in pixels of the photo that the features come from; None: all.
        inquiry: What was asked.
        config: How it was answered.
        answer: What was found.
        truth: What should be found; None where that is not known.
        load: Reads a photo of the database by its name, at any size.
        load_small: The same, as small as a card's photo is.
    """

    name: str
    photo: Photo
    features: Features
    box: Box | None
    inquiry: Inquiry
    config: SearchConfig
    answer: SearchResult
    truth: Truth | None
    load: Callable[[str], Photo]
    load_small: Callable[[str], Photo]

    def summary(self, seconds: float) -> str:
        """Tell how much was found, in what time, and how good the ranking is."""
        precision = None if self.truth is None else average_precision(self.answer, self.truth)
        return retrieval_captions.summary(
            self.answer.ranking, len(self._database), seconds, precision
        )

    def query_image(self) -> Photo:
        """Draw the query with its features, and the box."""
        return query_image(self.photo, self.features, self.box)

    def cards(self, count: int) -> list[Card]:
        """Make the cards of the first results."""
        return [self._card(place) for place in range(min(count, len(self.answer.ranking)))]

    def pair(self, place: int) -> tuple[Photo, str]:
        """Draw the query beside a result, with their matches, and say how many; alone where nothing was found."""
        if not len(self.answer.ranking):
            return self.query_image(), "nothing was found"
        image = int(self.answer.ranking.images[place])
        result = self._database.names[image]
        height, width = self._database.image_sizes[image].tolist()
        putative, verified = self._matches(image)
        picture = pair_image(
            (self.photo, self.load(result)),
            (self.features.image_size, (height, width)),
            putative,
            verified and verified.inliers,
        )
        count = verified and verified.num_inliers
        return picture, retrieval_captions.pair(self.name, result, place, len(putative), count)

    def figure(self, count: int, place: int) -> Figure:
        """Draw the query, the first results, and the matches of one of them, to be kept."""
        query = Card(
            photo=thumbnail(self.query_image(), CARD_WIDTH),
            lines=("query", retrieval_captions.stem(self.name)),
        )
        said = retrieval_captions.settings(self.config, boxed=self.box is not None)
        picture, words = self.pair(place)
        return match_images.result_figure([query, *self.cards(count)], picture, (said, words))

    @property
    def _database(self) -> Database:
        return self.inquiry.searcher.database

    def _card(self, place: int) -> Card:
        image = int(self.answer.ranking.images[place])
        name = self._database.names[image]
        graded = None if self.truth is None else relevance(self.truth, image)
        return Card(
            photo=self.load_small(name),
            lines=retrieval_captions.card(self.answer.ranking, place, name, graded),
            color=None if graded is None else RELEVANCE_MARKS[graded][1],
        )

    def _matches(self, image: int) -> tuple[Matches, Verification | None]:
        verified = self.answer.verifications.get(image)
        if verified is None:
            return self.inquiry.matches(image, self.config), None
        return self.answer.matches[image], verified
