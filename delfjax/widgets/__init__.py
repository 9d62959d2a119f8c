"""Interactive explorers for notebooks."""

from delfjax.widgets.attention_explorer import explore
from delfjax.widgets.retrieval_explorer import search_photos
from delfjax.widgets.upload import match_uploads

__all__ = ["explore", "match_uploads", "search_photos"]
