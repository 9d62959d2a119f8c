"""Reduce descriptors by a PCA, from 1024 to 40 dimensions (Sec. 4.3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from delfjax.files import check_tensors, read_tensors, reading, write_tensors

PAPER_DIMENSIONS = 40  # Sec. 4.3
FIX = "put the original file back"


@dataclass(frozen=True, kw_only=True, eq=False)
class PCA:
    """A fitted PCA that L2-normalizes descriptors before and after the projection.

    Attributes:
        mean: Mean of the normalized descriptors to which the PCA was fitted.
        components: Principal axes, one per row, largest variance first.
        variances: Variance along each axis.
        whiten: Whether to divide each dimension by its standard deviation. The paper does not.
    """

    mean: Float[np.ndarray, " c"]
    components: Float[np.ndarray, "d c"]
    variances: Float[np.ndarray, " d"]
    whiten: bool = False

    def __call__(self, descriptors: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "n d"]:
        """Reduce descriptors to unit vectors with one dimension per principal axis."""
        return l2_normalize(self.project(l2_normalize(descriptors)))

    def project(self, descriptors: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "n d"]:
        """Apply the PCA without L2 normalization. Whiten if ``whiten`` is set."""
        projected = np.asarray((descriptors - self.mean) @ self.components.T)
        return np.asarray(projected / np.sqrt(self.variances)) if self.whiten else projected

    @classmethod
    def fit(
        cls,
        descriptors: Float[np.ndarray, "n c"],
        *,
        dimensions: int = PAPER_DIMENSIONS,
        whiten: bool = False,
        seed: int = 0,
    ) -> "PCA":
        """L2-normalize descriptors and fit a PCA to them. Pass descriptors of database photos only.

        Raises:
            ValueError: If there are fewer descriptors than dimensions.
        """
        if len(descriptors) < dimensions:
            raise ValueError(
                f"cannot fit a PCA of {dimensions} dimensions to {len(descriptors)} descriptors; expected "
                f"at least {dimensions} descriptors. Fix: use more photos, or fewer dimensions"
            )
        from sklearn import decomposition  # a slow import

        # The covariance has c x c numbers. scikit-learn's default solver may need n x n.
        solver = "covariance_eigh" if len(descriptors) > descriptors.shape[1] else "auto"
        pca = decomposition.PCA(dimensions, svd_solver=solver, random_state=seed).fit(
            l2_normalize(descriptors)
        )
        fitted = (pca.mean_, pca.components_, pca.explained_variance_)
        # C order, as in a file: the order of the axes changes how a product is rounded.
        mean, components, variances = (array.astype(np.float32, order="C") for array in fitted)
        return cls(mean=mean, components=components, variances=variances, whiten=whiten)

    @classmethod
    def fit_discriminative(
        cls, descriptors: Float[np.ndarray, "n c"], labels: Sequence[str], *, dimensions: int
    ) -> "PCA":
        """Fit a projection that makes descriptors of one landmark more similar. Not in the paper.

        The descriptors are whitened by their covariance within landmarks, and then reduced by a PCA.
        Radenovic et al. (2018) learn the whitening of global descriptors in this way. The rows of
        ``components`` combine both steps and are not orthogonal.

        Args:
            descriptors: Descriptors, one per photo. They are L2-normalized first.
            labels: Landmark of each photo. At least one landmark has two photos.
            dimensions: Number of dimensions to keep. At most the number of photos, and of columns.
        """
        from sklearn import decomposition  # a slow import

        normalized = l2_normalize(descriptors.astype(np.float64))
        groups = np.unique(labels, return_inverse=True)[1]
        members = np.eye(groups.max() + 1)[groups]
        means = members.T @ normalized / members.sum(0)[:, None]
        whitening = whitening_matrix(normalized - means[groups])
        pca = decomposition.PCA(dimensions, svd_solver="full").fit(normalized @ whitening)
        fitted = (normalized.mean(0), pca.components_ @ whitening.T, pca.explained_variance_)
        mean, components, variances = (array.astype(np.float32, order="C") for array in fitted)
        return cls(mean=mean, components=components, variances=variances)

    def to_tensors(self) -> dict[str, np.ndarray]:
        """Return the fields of the PCA as tensors, by name. `from_tensors` reads these tensors."""
        return {name: np.asarray(value, order="C") for name, value in vars(self).items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray]) -> "PCA":
        """Create a PCA from tensors of `to_tensors`. Raise a `ValueError` for any other tensors."""
        expected = {"mean": ("f", 1), "components": ("f", 2), "variances": ("f", 1)}
        check_tensors(tensors, expected | {"whiten": ("b", 0)})
        shape = (*tensors["variances"].shape, *tensors["mean"].shape)
        if tensors["components"].shape != shape or 0 in shape:
            found = tensors["components"].shape
            raise ValueError(f"the shape of components is {found} instead of {shape}")
        arrays = {name: tensors[name] for name in expected}
        return cls(**arrays, whiten=bool(tensors["whiten"]))

    def save(self, path: Path) -> None:
        """Write the PCA to a safetensors file."""
        write_tensors(path, self.to_tensors())

    @classmethod
    def load(cls, path: Path) -> "PCA":
        """Read a file that `save` wrote. Raise a `StoreError` if the file is damaged."""
        with reading(path, "a PCA", fix=FIX):
            tensors, _ = read_tensors(path)
            return cls.from_tensors(tensors)


def whitening_matrix(differences: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "c c"]:
    """Return the symmetric whitening matrix of differences between descriptors.

    A row of ``differences`` is the difference between two descriptors of the same point or landmark.
    Source: Mikolajczyk and Matas, "Improving descriptors for fast tree matching by optimal linear
    projection", ICCV 2007. The covariance is estimated by the method of Ledoit and Wolf (2004). The
    matrix is scaled to fit into half precision. Descriptors are L2-normalized afterwards.
    """
    from sklearn.covariance import ledoit_wolf  # a slow import

    covariance, _ = ledoit_wolf(differences, assume_centered=True)
    variances, axes = np.linalg.eigh(covariance)
    return np.asarray(axes * np.sqrt(variances.mean() / variances) @ axes.T)


def truncate_descriptors(
    descriptors: Float[np.ndarray, "n d"], dimensions: int | None
) -> Float[np.ndarray, "n e"]:
    """Keep only the first dimensions of reduced descriptors, and L2-normalize them again.

    The result is the same as by a PCA with fewer dimensions. ``dimensions=None`` keeps all.
    """
    if dimensions is None:
        return descriptors
    if not 0 < dimensions <= descriptors.shape[1]:
        raise ValueError(
            f"dimensions (SearchConfig.truncate) is {dimensions}; expected 1 to {descriptors.shape[1]}, "
            "as many as the descriptors have. Fix: use fewer"
        )
    return l2_normalize(descriptors[:, :dimensions])


def l2_normalize(x: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "n c"]:
    """Divide each row by its L2 norm. Rows of zeros stay zeros."""
    norms = np.linalg.norm(x, axis=-1, keepdims=True)
    return np.asarray(x / np.maximum(norms, 1e-12))
