# The public names of delfjax.plots. Type checkers read this file; lazy_loader imports the names on first use.
from .architecture import system_diagram, training_diagram
from .attention import heatmap_grid, heatmaps, landmark_hits
from .base import COLORS, NEUTRAL, Figure, photos, set_title, subplots
from .datasets import GRADE_COLORS, camera_maps
from .features import keypoints, matches, receptive_fields
from .match_images import RELEVANCE_MARKS, pair_image
from .network_shapes import trace_extraction, trace_training
from .retrieval import (
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
    "system_diagram",
    "trace_extraction",
    "trace_training",
    "training_curves",
    "training_diagram",
]
