"""Figures of photos, features, matches, rankings, training and networks.

All functions return a `Figure`, which a notebook displays and ``figure.save(path)`` writes to a file.
Importing this package imports matplotlib; ``import delfjax`` does not.
"""

from delfjax.plots.architecture import system_diagram, training_diagram
from delfjax.plots.attention import heatmap_grid, heatmaps, landmark_hits
from delfjax.plots.base import COLORS, NEUTRAL, Figure, photos, set_title, subplots
from delfjax.plots.datasets import GRADE_COLORS, camera_maps
from delfjax.plots.features import keypoints, matches, receptive_fields
from delfjax.plots.match_images import RELEVANCE_MARKS, pair_image
from delfjax.plots.network_shapes import trace_extraction, trace_training
from delfjax.plots.retrieval import (
    inlier_histogram,
    query_card,
    recall_by_angle,
    recall_curves,
    result_cards,
    result_rows,
    results,
)
from delfjax.plots.training import training_curves

__all__ = [
    "COLORS",
    "GRADE_COLORS",
    "NEUTRAL",
    "RELEVANCE_MARKS",
    "Figure",
    "camera_maps",
    "heatmap_grid",
    "heatmaps",
    "inlier_histogram",
    "keypoints",
    "landmark_hits",
    "matches",
    "pair_image",
    "photos",
    "query_card",
    "recall_by_angle",
    "recall_curves",
    "receptive_fields",
    "result_cards",
    "result_rows",
    "results",
    "set_title",
    "subplots",
    "system_diagram",
    "trace_extraction",
    "trace_training",
    "training_curves",
    "training_diagram",
]
