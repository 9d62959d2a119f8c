"""Configuration of an evaluation: all settings that its scores depend on."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from delfjax.features.extract_folder import PCAConfig
from delfjax.features.extraction import ExtractionConfig
from delfjax.features.factory import DEFAULT_MODEL
from delfjax.features.global_descriptors import GlobalConfig
from delfjax.features.handcrafted import NAMES as HANDCRAFTED
from delfjax.provenance import config_from_dict, config_to_dict, to_plain
from delfjax.ranges import COUNT, FRACTION, ConfigError, check_dimensions, check_fields
from delfjax.search.expansion import ExpansionConfig
from delfjax.search.index import IndexConfig
from delfjax.search.searcher import SearchConfig


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Settings of one evaluation: model, features, index, search and optional methods.

    Without optional methods, photos are ranked by local features (Sec. 4). Feature matches are votes
    for photos. RANSAC verifies the photos with most votes. `SearchConfig.score` ranks them. With
    ``global_descriptor`` alone, photos are ranked by global similarity. With a shortlist or a fusion
    weight, the ranking uses both local features and global descriptors.

    Attributes:
        model: Name or file of the model, as in ``delfjax.load``.
        extraction: Settings of image pyramid and feature selection. ``min_contrast=None`` means 0.
        pca: Settings of the PCA of local descriptors.
        index: Kind and settings of the index of local descriptors. Not used with a shortlist.
        search: Settings of the search by local features: neighbors, votes, geometric verification.
            The rule of the paper is ``delfjax.paper.runs.PAPER_RULE``.
        global_descriptor: Settings of the global descriptor, one vector per photo. None: not used.
        whitening: Folder of photos from which a whitening of global descriptors is learned. One
            sub-folder per landmark: the whitening makes descriptors of the same landmark more
            similar. No sub-folders: PCA whitening. ``"rendered_train"``: the training photos of the
            rendered data set. None: no whitening.
        whitening_dimensions: Dimensions of a global descriptor after whitening. Not in the paper.
        fusion_weight: Weight ``w`` of late fusion, 0 to 1. The score of a photo is
            ``w * inliers / n + (1 - w) * similarity``, where ``n`` is the number of query features.
            0.75 is best on training photos of the rendered data set. None: no fusion.
        shortlist: Number of photos in which local features are searched: the photos with the most
            similar global descriptors. None: all photos of the database.
        expansion: Settings of query expansion (a second search). None: no expansion.

    Raises:
        ConfigError: If a value is out of range, or if a setting requires another setting.
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
        counts = {"shortlist": COUNT, "whitening_dimensions": COUNT}
        check_fields(self, fusion_weight=FRACTION, **counts)
        if self.extraction.min_contrast is None:
            object.__setattr__(self, "extraction", replace(self.extraction, min_contrast=0.0))
        check_dimensions("truncate", self.search.truncate, self.pca.dimensions)
        if self.global_descriptor is not None and self.model in HANDCRAFTED:
            raise ConfigError(
                f"{self.model}: handcrafted features have no network to compute global descriptors. "
                "Fix: set global_descriptor to None (leave out --global), or choose another model"
            )
        kind = self.expansion and self.expansion.kind
        needs_global = {
            "a fusion weight": self.fusion_weight is not None,
            "a shortlist": self.shortlist is not None,
            "a whitening": self.whitening is not None,
            f"the query expansion {kind!r}": kind in ("average", "alpha"),
        }
        for stage, given in needs_global.items():
            if given and self.global_descriptor is None:
                raise ConfigError(
                    f"{stage} needs global descriptors, but global_descriptor is None. "
                    "Fix: set global_descriptor (--global)"
                )
        if kind == "local" and not self.uses_local_features:
            raise ConfigError(
                "the query expansion 'local' needs local features, but this run uses global descriptors "
                "alone. Fix: set fusion_weight (--fuse) or shortlist (--shortlist)"
            )

    def check(self, descriptor: int | None = None) -> None:
        """Check the numbers of dimensions, and the settings of the index.

        ``descriptor`` is the number of dimensions of the model's local descriptors, if known.

        Raises:
            ConfigError: If a number of dimensions or a setting of the index does not fit.
        """
        self.index.check(self.search.truncate or self.pca.dimensions)
        if self.uses_local_features:
            check_dimensions("dimensions", self.pca.dimensions, descriptor)

    @property
    def uses_local_features(self) -> bool:
        """Whether the ranking uses local features."""
        combined = self.fusion_weight is not None or self.shortlist is not None
        return self.global_descriptor is None or combined

    @property
    def optional_methods(self) -> list[str]:
        """Names of the optional methods that are used, such as ``"shortlist 100"``, for tables."""
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
        """Return the configuration as a dict that can be saved as JSON. Infinity becomes None."""
        return {name: to_plain(value) for name, value in config_to_dict(self).items()}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "RunConfig":
        """Create a configuration from a dict that `to_dict` returned.

        Raises:
            ConfigError: If a field is unknown or a value is out of range.
        """
        return config_from_dict(cls, fields)
