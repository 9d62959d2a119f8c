"""Load the rendered data sets: photos of synthetic landmarks, in the layout of Oxford5k.

The small set, ``data/landmarks``, has 49 landmarks for training and 11 for evaluation. The large
set, ``data/landmarks_large``, has 40 other landmarks for evaluation, in photos of twice the size.
The evaluation photos also include distractors, which are correct for no query, and distractor
queries, which have no correct photo. Each evaluation photo has an annotation: its camera, and a
mask of the landmark. The scripts in ``data/render`` of the repository create the photos.
"""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image

from delfjax.datasets.benchmark import STANDARD, Benchmark, Query, Truth, invalid
from delfjax.datasets.oxford import read_ground_truth
from delfjax.files import DATA, sha256
from delfjax.images.folder import PhotoFolder, scan
from delfjax.types import Box

ROOT, LARGE = DATA / "landmarks", DATA / "landmarks_large"
FOLDERS = {"rendered": ROOT, "rendered+places": ROOT, "rendered_large": LARGE}  # by benchmark
CHECKSUMS = "SHA256SUMS"
DISTRACTOR_QUERIES = "strangers"  # folder of the distractor queries
VIEW = "view"  # protocol: a correct photo shows the same side of the landmark as the query
SAME_VIEW, OTHER_VIEW = 0.2, 0.05  # shared surface of a correct photo (at least) and a wrong one
SURFACE_STEPS = 24  # points along each edge of a landmark's bounding box


@dataclass(frozen=True, kw_only=True, eq=False)
class PhotoAnnotation:
    """Annotation of one evaluation photo: landmark, visibility and camera.

    Attributes:
        photo: Path of the photo, relative to the folder ``eval``.
        landmark: Name of the landmark in the photo. None: the photo shows no landmark.
        grade: Visibility of the landmark: ``"good"``, ``"ok"`` or ``"junk"``. None: the photo shows
            no landmark, or a landmark without queries.
        framed_fraction: Fraction of the landmark's silhouette that is inside the photo, 0 to 1.
            Parts that are farther outside than the photo's width or height are not counted.
        unoccluded_fraction: Fraction of the silhouette inside the photo that nothing hides, 0 to 1.
        area_fraction: Fraction of the photo's pixels that show the landmark, 0 to 1.
        size: Height and width of the photo in pixels.
        intrinsics: Camera matrix, from camera to homogeneous pixel coordinates ``(x, y, 1)``.
        pose: Matrix ``[R | t]`` from world coordinates (meters, z up) to camera coordinates (x
            right, y down, z forward).
        view: Kind of shot, weather and camera settings: see ``View`` in ``data/render/views.py``.
        encoded_mask: `mask` as a 1-bit PNG, encoded in base64. Empty: the photo shows no landmark.
    """

    photo: str
    landmark: str | None
    grade: str | None
    framed_fraction: float
    unoccluded_fraction: float
    area_fraction: float
    size: tuple[int, int]
    intrinsics: Float[np.ndarray, "3 3"]
    pose: Float[np.ndarray, "3 4"]
    view: Mapping[str, Any]
    encoded_mask: str

    @property
    def visible_fraction(self) -> float:
        """Fraction of the landmark's silhouette that is inside the photo and not hidden, 0 to 1."""
        return self.framed_fraction * self.unoccluded_fraction

    @cached_property
    def mask(self) -> Bool[np.ndarray, "h w"]:
        """Boolean mask of the photo. A pixel is True if it shows the landmark."""
        if not self.encoded_mask:
            return np.zeros(self.size, bool)
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(self.encoded_mask)))).astype(bool)

    @property
    def camera_center(self) -> Float[np.ndarray, " 3"]:
        """Position of the camera in world coordinates, in meters: ``-R^T t`` of `pose`."""
        return np.asarray(-self.pose[:, :3].T @ self.pose[:, 3])


def find_folder(root: Path | str, name: str = "rendered+places") -> Path:
    """Find the folder of a rendered benchmark: first in ``root``, then in the repository."""
    copy = Path(root) / FOLDERS[name].name
    return copy if (copy / CHECKSUMS).is_file() else FOLDERS[name]


def load(folder: Path | None = None, *, name: str = "rendered+places") -> Benchmark:
    """Load the evaluation photos of a rendered data set as a benchmark.

    Protocol ``"standard"``: a correct photo shows the landmark of the query, from any side. Protocol
    ``"view"``: a correct photo also shows at least 20% of the surface in the query, as measured by
    `shared_surface`. Photos that show 5% to 20% of it are junk. Photos that show less are wrong.

    Args:
        folder: Folder of the rendered data set. None: the folder in the repository.
        name: ``"rendered+places"`` is the small set, ``"rendered"`` is the small set without
            distractors, and ``"rendered_large"`` is the large set.

    Raises:
        DatasetError: If the folder does not hold the data set. Checksums are not verified.
    """
    root = _checked_folder(folder or FOLDERS[name]) / "eval"
    searched = landmark_bounds(root.parent)
    photos = scan(root / "images").names
    landmarks = [photo for photo in photos if photo.rpartition("_")[0] in searched]
    others = [photo for photo in photos if photo.rpartition("_")[0] not in searched]
    distractors = [] if name == "rendered" else others
    database = tuple(f"images/{photo}" for photo in (*landmarks, *distractors))
    queries, truths = read_ground_truth(root / "gt", root, database)
    by_view = _truths_by_view(root.parent, database, queries, truths)
    return Benchmark(
        name=name,
        root=root,
        checksums=root.parent / CHECKSUMS,
        database=database,
        distractor_count=len(distractors),
        queries=queries,
        truths={STANDARD: truths, VIEW: by_view},
        distractor_queries=tuple(
            Query(name=Path(photo).stem, photo=f"{DISTRACTOR_QUERIES}/{photo}")
            for photo in scan(root / DISTRACTOR_QUERIES).names
        ),
    )


def training_photos(folder: Path | None = None) -> PhotoFolder:
    """Return the training photos. Each landmark has one sub-folder."""
    return scan(_checked_folder(folder) / "train")


def annotations(folder: Path | None = None) -> dict[str, PhotoAnnotation]:
    """Read the annotation of each evaluation photo. The keys are the photo paths of `load`."""
    path = _checked_folder(folder) / "eval" / "truth.jsonl"
    with path.open(encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    nothing = {"framed": 0.0, "unhidden": 0.0, "area": 0.0}
    found = {}
    for record in records:
        visibility, camera = record.get("visibility") or nothing, record["camera"]
        found[record["photo"]] = PhotoAnnotation(
            photo=record["photo"],
            landmark=record["landmark"],
            grade=record.get("grade"),
            framed_fraction=visibility["framed"],
            unoccluded_fraction=visibility["unhidden"],
            area_fraction=visibility["area"],
            size=(record["height"], record["width"]),
            intrinsics=np.array(camera["intrinsics"]),
            pose=np.array(camera["pose"]),
            view=record["view"],
            encoded_mask=record.get("mask", ""),
        )
    return found


def landmark_bounds(folder: Path | None = None) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the bounding box of each landmark: minimum and maximum ``(x, y, z)`` in meters."""
    path = _checked_folder(folder) / "eval" / "landmarks.json"
    boxes = json.loads(path.read_text(encoding="utf-8"))
    return {name: (np.array(box["low"]), np.array(box["high"])) for name, box in boxes.items()}


def shared_surface(
    query: PhotoAnnotation,
    others: Sequence[PhotoAnnotation],
    bounds: tuple[np.ndarray, np.ndarray],
    box: Box | None = None,
) -> Float[np.ndarray, " b"]:
    """Return the fraction of the visible surface of a query that each other photo also shows.

    The surface of a landmark is the top and the sides of its bounding box. A point of it is visible in a
    photo if the side of the box faces the camera, and the pixel of the point shows the landmark.

    Args:
        query: Annotation of the query photo.
        others: Annotations of other photos of the same landmark.
        bounds: Bounding box of the landmark, from `landmark_bounds`.
        box: Region of the query photo. None: the whole photo.
    """
    points, normals, areas = _surface(*bounds)
    seen = areas * _is_visible(query, points, normals, box)
    shared = [seen[_is_visible(other, points, normals)].sum() for other in others]
    return np.asarray(shared) / max(float(seen.sum()), np.finfo(float).tiny)


def _surface(
    low: Float[np.ndarray, " 3"], high: Float[np.ndarray, " 3"]
) -> tuple[Float[np.ndarray, "p 3"], Float[np.ndarray, "p 3"], Float[np.ndarray, " p"]]:
    """Return points on the top and sides of a box, their normals, and the area of each point."""
    steps = (np.arange(SURFACE_STEPS) + 0.5) / SURFACE_STEPS
    grid = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    points, normals, areas = [], [], []
    for axis, end in ((0, 0), (0, 1), (1, 0), (1, 1), (2, 1)):
        face = np.insert(grid, axis, end, axis=1)
        normal = np.zeros(3)
        normal[axis] = 2 * end - 1
        points.append(low + face * (high - low))
        normals.append(np.broadcast_to(normal, face.shape))
        areas.append(np.full(len(face), np.prod(np.delete(high - low, axis)) / len(face)))
    return np.concatenate(points), np.concatenate(normals), np.concatenate(areas)


def _is_visible(
    photo: PhotoAnnotation,
    points: Float[np.ndarray, "p 3"],
    normals: Float[np.ndarray, "p 3"],
    box: Box | None = None,
) -> Bool[np.ndarray, " p"]:
    """Return whether a photo, or a region of it, shows each point of a landmark's surface."""
    camera = points @ photo.pose[:, :3].T + photo.pose[:, 3]
    in_front: np.ndarray = (camera[:, 2] > 0) & (
        ((photo.camera_center - points) * normals).sum(1) > 0
    )
    pixels = camera @ photo.intrinsics.T / np.where(in_front, camera[:, 2], 1.0)[:, None]
    positions = pixels[:, 1::-1]
    (top, left), (bottom, right) = np.clip(
        np.reshape(box or (0, 0, *photo.size), (2, 2)), 0, photo.size
    )
    edges = positions + 0.5  # the edges of a box count from the outer edge of the first pixel
    visible: np.ndarray = (
        in_front & (edges >= (top, left)).all(1) & (edges < (bottom, right)).all(1)
    )
    rows, columns = np.floor(edges[visible]).astype(int).T
    visible[visible] = photo.mask[rows, columns]
    return visible


def _truths_by_view(
    folder: Path, database: Sequence[str], queries: Sequence[Query], truths: Sequence[Truth]
) -> tuple[Truth, ...]:
    """Divide the correct photos of each query by the surface that they share with the query."""
    photos, bounds = annotations(folder), landmark_bounds(folder)
    found = []
    for query, truth in zip(queries, truths, strict=True):
        own, others = photos[query.photo], [photos[database[each]] for each in truth.positives]
        shared = shared_surface(own, others, bounds[str(own.landmark)], query.box)
        unclear = truth.positives[(shared >= OTHER_VIEW) & (shared < SAME_VIEW)]
        junk = np.concatenate([truth.junk, unclear])
        found.append(Truth(truth.positives[shared >= SAME_VIEW], junk))
    return tuple(found)


def damaged(folder: Path | None = None) -> list[str]:
    """List the files of the rendered data set that are missing or have a wrong SHA-256 checksum."""
    root = _checked_folder(folder)
    names = []
    for line in (root / CHECKSUMS).read_text(encoding="utf-8").splitlines():
        checksum, name = line.split("  ", 1)
        if not (root / name).is_file() or sha256(root / name) != checksum:
            names.append(name)
    return names


def _checked_folder(folder: Path | None) -> Path:
    root = ROOT if folder is None else Path(folder)
    if not (root / CHECKSUMS).is_file():
        fix = (
            "clone the repository of delfjax, and pass the path of its folder data/landmarks or "
            "data/landmarks_large"
        )
        found = f"does not hold the rendered data set ({CHECKSUMS} is missing)"
        raise invalid(root, found, fix=fix)
    return root
