# The public names of delfjax.plots. Type checkers read this file; lazy_loader imports the names on first use.
from .base import COLORS, NEUTRAL, Figure, photos, set_title, subplots
from .datasets import GRADE_COLORS, camera_maps
from .features import heatmap_grid, heatmaps, keypoints, landmark_hits, receptive_fields
from .pairs import matches, pair_image
from .retrieval import (
    RELEVANCE_MARKS,
    query_card,
    recall_by_angle,
    recall_curves,
    result_cards,
    result_rows,
    results,
)
from .training import training_curves

__all__ = [
    "COLORS",
    "GRADE_COLORS",
    "NEUTRAL",
    "RELEVANCE_MARKS",
    "Figure",
    "camera_maps",
    "heatmap_grid",
    "heatmaps",
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
    "training_curves",
]
