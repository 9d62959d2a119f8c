"""Controls of the explorers: aligned labels, delayed messages, and the sliders for a search (Sec. 4.4)."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import inf

from ipywidgets import HTML, Checkbox, IntSlider, SelectionSlider, ValueWidget, VBox

from delfjax.search.index import NEIGHBORS
from delfjax.search.searcher import VERIFIED, SearchConfig
from delfjax.widgets import captions

RESULTS, MAX_RESULTS = 12, 40  # number of results at first, and at most
# Limits of the distance slider. The distance of two unit vectors is at most 2.
DISTANCES = [step / 20 for step in range(2, 25)]
MESSAGE_DELAY = 0.5  # seconds: a message during a faster search would only flicker


def labeled(
    control: Callable[..., ValueWidget], description: str, **settings: object
) -> ValueWidget:
    """Create a control with a label, aligned with others in a column.

    Args:
        control: Class of the control.
        description: The label.
        **settings: Other arguments of the class.
    """
    style, layout = {"description_width": "7em"}, {"width": "auto"}
    return control(description=description, style=style, layout=layout, **settings)


@contextmanager
def message_if_slow(target: HTML, message: str) -> Iterator[None]:
    """Show a message if the code inside takes longer than `MESSAGE_DELAY`."""
    timer = threading.Timer(
        MESSAGE_DELAY, setattr, (target, "value", captions.block(message, role="status"))
    )
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()  # otherwise the message could replace the result


class RetrievalControls(VBox):
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
        finite = sorted({*DISTANCES, config.max_distance} - {inf})
        distances = [*((f"{distance:.2f}", distance) for distance in finite), ("any", inf)]
        self.neighbors = labeled(
            IntSlider,
            "neighbors",
            value=config.neighbors,
            min=1,
            max=max(NEIGHBORS, config.neighbors),
            tooltip="Number of nearest database features per query feature",
        )
        self.distance = labeled(
            SelectionSlider,
            "max distance",
            options=distances,
            value=config.max_distance,
            tooltip="Neighbors with a larger descriptor distance are ignored",
        )
        self.verification = labeled(
            Checkbox, f"verify the top {self._verified}", value=config.verified > 0
        )
        self.results = labeled(
            IntSlider, "results", value=min(RESULTS, photos), min=1, max=min(MAX_RESULTS, photos)
        )
        self.rank = labeled(IntSlider, "matches of #", value=1, min=1, max=1)
        self.rank.tooltip = "Rank of the result whose matches are shown below"
        super().__init__([*self.search_controls, self.results, self.rank])

    @property
    def search_controls(self) -> list[ValueWidget]:
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
