"""Sliders of the retrieval explorer: how to search, and which results to show (Sec. 4.4)."""

from dataclasses import replace
from math import inf

import ipywidgets

from delfjax.search.index import NEIGHBORS
from delfjax.search.searcher import VERIFIED, SearchConfig
from delfjax.widgets.upload import LABELED

RESULTS, MAX_RESULTS = 12, 40  # number of results at first, and at most
# Limits of the distance slider. The distance of two unit vectors is at most 2.
DISTANCES = [step / 20 for step in range(2, 25)]


class RetrievalControls(ipywidgets.VBox):
    """Sliders for the search settings and the shown results.

    Args:
        config: Settings at the start. Settings without a slider keep their values.
        photos: Number of photos in the database.

    Attributes:
        neighbors: Number of nearest database features per query feature.
        distance: Maximum distance of a neighbor's descriptor.
        verification: Whether RANSAC verifies the first photos.
        results: Number of shown results.
        rank: Rank, from 1, of the result whose matches are shown.
    """

    def __init__(self, config: SearchConfig, photos: int) -> None:
        self._config = config
        self._verified = config.verified or VERIFIED
        self.neighbors = ipywidgets.IntSlider(
            config.neighbors,
            1,
            max(NEIGHBORS, config.neighbors),
            description="neighbors",
            tooltip="Number of nearest database features per query feature",
            **LABELED,
        )
        finite = sorted({*DISTANCES, config.max_distance} - {inf})
        self.distance = ipywidgets.SelectionSlider(
            options=[*((f"{distance:.2f}", distance) for distance in finite), ("any", inf)],
            value=config.max_distance,
            description="max distance",
            tooltip="Neighbors with a larger descriptor distance are ignored",
            **LABELED,
        )
        self.verification = ipywidgets.Checkbox(
            config.verified > 0, description=f"verify the top {self._verified}", **LABELED
        )
        self.results = ipywidgets.IntSlider(
            min(RESULTS, photos), 1, min(MAX_RESULTS, photos), description="results", **LABELED
        )
        self.rank = ipywidgets.IntSlider(
            1,
            1,
            1,
            description="matches of #",
            tooltip="Rank of the result whose matches are shown below",
            **LABELED,
        )
        super().__init__([*self.search_controls, self.results, self.rank])

    @property
    def search_controls(self) -> list[ipywidgets.ValueWidget]:
        """The controls that change the search settings."""
        return [self.neighbors, self.distance, self.verification]

    @property
    def config(self) -> SearchConfig:
        """The search settings."""
        return replace(
            self._config,
            neighbors=self.neighbors.value,
            max_distance=self.distance.value,
            verified=self._verified if self.verification.value else 0,
        )
