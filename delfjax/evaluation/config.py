"""One configuration object for a run: everything that an evaluation's numbers depend on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from delfjax.features.extract_folder import PCAConfig
from delfjax.features.extraction import ExtractionConfig
from delfjax.features.factory import DEFAULT_MODEL
from delfjax.features.global_descriptors import GlobalConfig
from delfjax.provenance import config_from_dict, to_plain
from delfjax.search.expansion import ExpansionConfig
from delfjax.search.index import IndexConfig
from delfjax.search.searcher import SearchConfig


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Configuration of one evaluation: model, features, index, search and optional stages.

    Without optional stages, local features are searched and verified (Sec. 4). With global
    descriptors alone, photos are ranked by their similarity. A shortlist or a fusion weight
    combines the two.

    Attributes:
        model: Name or file of the model, as `delfjax.load` takes it.
        extraction: Image pyramid and selection of local features.
        pca: How the PCA of local descriptors is learned.
        index: Index over the local descriptors of the database.
        search: Votes and verification of local features.
        global_descriptor: How one descriptor of a whole photo is made; None: no global descriptors.
        whitening: Folder of photos from which a whitening of global descriptors is learned;
            ``"rendered"`` for the rendered training landmarks; None: no whitening.
        whitening_dimensions: Dimensions of a global descriptor after whitening. Not in the paper.
        fusion_weight: Weight of the local score in a late fusion with global similarity, 0 to 1
            (Sec. 5: 0.25); None: no fusion.
        shortlist: Number of most similar photos that local features verify; None: the whole database.
        expansion: Query expansion: search again with what the first results add; None: no expansion.

    Raises:
        ValueError: If a value is out of range, or a stage lacks another one that it needs.
    """

    model: str = DEFAULT_MODEL
    extraction: ExtractionConfig = field(default_factory=ExtractionConfig)
    pca: PCAConfig = field(default_factory=PCAConfig)
    index: IndexConfig = field(default_factory=IndexConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    global_descriptor: GlobalConfig | None = None
    whitening: str | None = None
    whitening_dimensions: int = 256
    fusion_weight: float | None = None
    shortlist: int | None = None
    expansion: ExpansionConfig | None = None

    def __post_init__(self) -> None:
        kind = self.expansion and self.expansion.kind
        needs_global = {
            "a fusion weight": self.fusion_weight is not None,
            "a shortlist": self.shortlist is not None,
            "a whitening": self.whitening is not None,
            f"the expansion {kind!r}": kind in ("average", "alpha"),
        }
        for stage, given in needs_global.items():
            if given and self.global_descriptor is None:
                raise ValueError(f"{stage} needs global descriptors. Fix: set global_descriptor")
        if kind == "local" and not self.uses_local_features:
            raise ValueError(
                "the expansion 'local' needs local features. Fix: set fusion_weight or shortlist"
            )
        if self.fusion_weight is not None and not 0 <= self.fusion_weight <= 1:
            raise ValueError(f"fusion_weight is {self.fusion_weight}; expected 0 to 1")
        for name in ("shortlist", "whitening_dimensions"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; expected at least 1")

    @property
    def uses_local_features(self) -> bool:
        """Whether local features take part in the ranking."""
        combined = self.fusion_weight is not None or self.shortlist is not None
        return self.global_descriptor is None or combined

    @property
    def stages(self) -> list[str]:
        """Names of the optional stages in use, for tables."""
        found = []
        if self.global_descriptor is not None:
            found.append(f"global {self.global_descriptor.pooling}")
        if self.shortlist is not None:
            found.append(f"shortlist {self.shortlist}")
        if self.fusion_weight is not None:
            found.append(f"fused at {self.fusion_weight}")
        if self.expansion is not None:
            found.append(f"{self.expansion.kind} expansion")
        return found + ([] if self.whitening is None else ["whitened"])

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as plain values that JSON can hold; infinity becomes None."""
        return {name: to_plain(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "RunConfig":
        """Make a configuration from what `to_dict` returned.

        Raises:
            ValueError: If a field is unknown or a value is out of range.
        """
        return config_from_dict(cls, fields)
