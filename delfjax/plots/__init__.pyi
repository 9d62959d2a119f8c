# The public names of delfjax.plots. Type checkers read this file; lazy_loader imports the names on first use.
from .base import COLORS, NEUTRAL, Figure, photos, set_title, subplots
from .features import heatmap_grid, heatmaps, keypoints, receptive_fields
from .pairs import matches, pair_image
from .retrieval import RELEVANCE_MARKS, query_card, result_cards, result_rows
from .training import training_curves

__all__ = [
    "COLORS",
    "NEUTRAL",
    "RELEVANCE_MARKS",
    "Figure",
    "heatmap_grid",
    "heatmaps",
    "keypoints",
    "matches",
    "pair_image",
    "photos",
    "query_card",
    "receptive_fields",
    "result_cards",
    "result_rows",
    "set_title",
    "subplots",
    "training_curves",
]
