"""The sliders of the retrieval explorer: how a query is answered, and what of the answer is shown (Sec. 4.4)."""

from dataclasses import replace
from math import inf

import ipywidgets

from delfjax.search.index import NEIGHBORS
from delfjax.search.searcher import VERIFIED, SearchConfig
from delfjax.widgets.upload import WIDE

RESULTS, MOST_RESULTS = 12, 40  # shown at first, and at most
NEAREST, FARTHEST, STEP = 2, 24, 0.05  # thresholds in steps: unit vectors lie at most 2 apart


class RetrievalControls(ipywidgets.VBox):
    """Sliders that begin with a configuration.

    Args:
        config: Has what the sliders do not change, too.
        photos: In the database.

    Attributes:
        neighbors: Database features asked for each query feature.
        distance: Of descriptors: neighbors further away do not count.
        verification: Whether RANSAC has a say.
        results: How many are shown.
        rank: The result whose matches are shown, from 1.
    """

    def __init__(self, config: SearchConfig, photos: int) -> None:
        self._config = config
        most = max(NEIGHBORS, config.neighbors)
        self.neighbors = ipywidgets.IntSlider(
            config.neighbors, 1, most, description="neighbors", **WIDE
        )
        self.distance = ipywidgets.SelectionSlider(
            options=_distances(config.max_distance), description="distance", **WIDE
        )
        self.distance.value = config.max_distance
        self._verified = config.verified or VERIFIED
        self.verification = ipywidgets.Checkbox(
            config.verified > 0, description=f"verify the first {self._verified}", **WIDE
        )
        self.results = ipywidgets.IntSlider(
            min(RESULTS, photos), 1, min(MOST_RESULTS, photos), description="results", **WIDE
        )
        self.rank = ipywidgets.IntSlider(1, 1, 1, description="matches of", **WIDE)
        self.neighbors.tooltip = "database features asked for each query feature"
        self.distance.tooltip = "neighbors whose descriptors lie further away do not count"
        self.rank.tooltip = "the rank of the result whose matches are shown"
        super().__init__([*self.asked, self.results, self.rank])

    @property
    def asked(self) -> list[ipywidgets.ValueWidget]:
        """Those that change the answer."""
        return [self.neighbors, self.distance, self.verification]

    @property
    def config(self) -> SearchConfig:
        """How the query is answered."""
        return replace(
            self._config,
            neighbors=self.neighbors.value,
            max_distance=self.distance.value,
            verified=self._verified if self.verification.value else 0,
        )


def _distances(chosen: float) -> list[tuple[str, float]]:
    """Offer thresholds, the chosen one among them, and none."""
    offered = {round(STEP * step, 2) for step in range(NEAREST, FARTHEST + 1)}
    finite = sorted((offered | {chosen}) - {inf})
    return [*((f"{distance:.2f}", distance) for distance in finite), ("any", inf)]
