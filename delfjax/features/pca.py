"""L2 -> PCA -> L2: from 1024 dimensions to 40 (Sec. 4.3).

The PCA is learned from descriptors of the database, never of the queries, by scikit-learn.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from safetensors.numpy import load_file, save_file
from sklearn import decomposition

PAPER_DIMENSIONS = 40  # Sec. 4.3


@dataclass(frozen=True, kw_only=True, eq=False)
class PCA:
    """A fitted PCA between two L2 normalizations: ``l2(P (l2(x) - mean))``.

    Attributes:
        mean: Mean of the normalized descriptors it was fitted on.
        components: Principal axes, strongest first, one a row.
        variances: Variance along each axis.
        whiten: Whether each projection is divided by its standard deviation; the paper does not.
    """

    mean: Float[np.ndarray, " c"]
    components: Float[np.ndarray, "d c"]
    variances: Float[np.ndarray, " d"]
    whiten: bool = False

    def __call__(self, descriptors: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "n d"]:
        """Reduce descriptors to unit vectors of ``d`` dimensions."""
        return l2_normalize(self.project(l2_normalize(descriptors)))

    def project(self, descriptors: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "n d"]:
        """Apply the PCA alone, ``(x - mean) P^T``, whitened if so configured."""
        projected = (descriptors - self.mean) @ self.components.T
        return projected / np.sqrt(self.variances) if self.whiten else projected

    @classmethod
    def fit(
        cls,
        descriptors: Float[np.ndarray, "n c"],
        *,
        dimensions: int = PAPER_DIMENSIONS,
        whiten: bool = False,
        seed: int = 0,
    ) -> "PCA":
        """Learn the axes from database descriptors, as the backbone gives them.

        Raises:
            ValueError: If there are fewer descriptors than dimensions wanted.
        """
        if len(descriptors) < dimensions:
            raise ValueError(
                f"cannot fit {dimensions} dimensions to {len(descriptors)} descriptors: "
                "give more photos, or ask for fewer dimensions"
            )
        # The full solver would need n x n numbers; the covariance is 1024 x 1024 whatever n is.
        solver = "covariance_eigh" if len(descriptors) > descriptors.shape[1] else "auto"
        pca = decomposition.PCA(dimensions, svd_solver=solver, random_state=seed).fit(
            l2_normalize(descriptors)
        )
        fitted = (pca.mean_, pca.components_, pca.explained_variance_)
        mean, components, variances = (part.astype(np.float32) for part in fitted)
        return cls(mean=mean, components=components, variances=variances, whiten=whiten)

    def save(self, path: Path) -> None:
        """Write the PCA as safetensors."""
        tensors = {"mean": self.mean, "components": self.components, "variances": self.variances}
        # save_file writes memory as it lies, and scikit-learn's components lie column by column.
        tensors = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
        save_file(tensors | {"whiten": np.array(self.whiten)}, path)

    @classmethod
    def load(cls, path: Path) -> "PCA":
        """Read what `save` wrote."""
        tensors = load_file(path)
        return cls(**tensors | {"whiten": bool(tensors["whiten"])})


def truncate_descriptors(
    descriptors: Float[np.ndarray, "n d"], dimensions: int | None
) -> Float[np.ndarray, "n e"]:
    """Keep the first dimensions of reduced descriptors, ``l2(x[:e])``; all of them for None.

    The axes of a PCA are nested: this is what a PCA to so many dimensions would have given.

    Raises:
        ValueError: If there are not so many.
    """
    if dimensions is None:
        return descriptors
    if not 0 < dimensions <= descriptors.shape[1]:
        raise ValueError(
            f"cannot keep {dimensions} of {descriptors.shape[1]} dimensions; expected 1 to "
            f"{descriptors.shape[1]}"
        )
    return l2_normalize(descriptors[:, :dimensions])


def l2_normalize(x: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "n c"]:
    """Divide each row by its L2 norm; rows of zeros stay zeros."""
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)
