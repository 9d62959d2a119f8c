# The public names of delfjax. `__init__.py` passes this file to lazy_loader, which imports a name when it is
# first used.
from . import datasets, plots, provenance
from .evaluation.benchmark import Evaluation, evaluate
from .evaluation.config import RunConfig
from .features.delf_file import read_delf
from .features.extract_folder import PCAConfig, extract_folder
from .features.extraction import ExtractionConfig
from .features.factory import load, model_names
from .features.pyramid import PyramidConfig
from .features.store import FeatureStore
from .geometry.ransac import RansacConfig
from .images.reading import read_image
from .search.index import IndexConfig
from .search.matching import PairMatch, match
from .search.searcher import SearchConfig, Searcher, SearchResult
from .search.verdict import Verdict
from .training import TrainingConfig, train
from .types import Features, Matches, Ranking
from .widgets.attention_explorer import explore
from .widgets.retrieval_explorer import search_photos

__version__: str
__all__ = [
    "Evaluation",
    "ExtractionConfig",
    "FeatureStore",
    "Features",
    "IndexConfig",
    "Matches",
    "PCAConfig",
    "PairMatch",
    "PyramidConfig",
    "Ranking",
    "RansacConfig",
    "RunConfig",
    "SearchConfig",
    "SearchResult",
    "Searcher",
    "TrainingConfig",
    "Verdict",
    "datasets",
    "evaluate",
    "explore",
    "extract_folder",
    "load",
    "match",
    "model_names",
    "plots",
    "provenance",
    "read_delf",
    "read_image",
    "search_photos",
    "train",
]
