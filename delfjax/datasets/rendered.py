"""The embedded set: rendered landmarks, with the truth about each evaluation photo, in Oxford5k's layout.

Sixty procedural landmarks, photographed as tourists do (`data/render` makes them, `data/landmarks`
holds them): 49 to train on, with image labels, and 11 others to evaluate on, with queries, boxes, good,
ok and junk as in Oxford5k, photos of places without a landmark, and 40 distractor queries of other
places. Of each photo of `eval` the truth is known: which pixels are the landmark, and the camera.
"""

import base64
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image

from delfjax.datasets.benchmark import STANDARD, Benchmark, DatasetError, Query
from delfjax.datasets.oxford import read_ground_truth
from delfjax.files import sha256
from delfjax.images.reading import PhotoFolder, scan

ROOT = Path(__file__).resolve().parents[2] / "data" / "landmarks"  # of a checkout
PLACE = "place_"  # names of photos without a landmark begin with it


@dataclass(frozen=True, kw_only=True, eq=False)
class PhotoAnnotation:
    """What is known of a photo of the `eval` split.

    Attributes:
        photo: Relative to the split's folder.
        landmark: Which it shows; None: none.
        grade: ``"good"``, ``"ok"`` or ``"junk"``; None without a landmark.
        framed_fraction: Share of the landmark's silhouette that is in the frame, 0 to 1; what lies more than a
            frame beyond the frame does not count.
        unoccluded_fraction: Share of the framed silhouette that nothing hides.
        area_fraction: Share of the photo's pixels that show the landmark.
        size: ``(height, width)`` in pixels.
        intrinsics: Camera matrix, in pixels, on ``(x, y, 1)`` with x right, y down.
        pose: World (metres, z up) to camera (x right, y down, z ahead).
        view: Kind of shot, weather, and what the camera did: see ``View`` in ``data/render/views.py``.
        encoded_mask: The mask as a 1-bit PNG in base64; ``""`` without a landmark.
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
        """Share of the whole landmark that the photo shows: framed and not hidden."""
        return self.framed_fraction * self.unoccluded_fraction

    @cached_property
    def mask(self) -> Bool[np.ndarray, "h w"]:
        """The pixels that show the landmark."""
        if not self.encoded_mask:
            return np.zeros(self.size, bool)
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(self.encoded_mask)))).astype(bool)

    @property
    def camera_center(self) -> Float[np.ndarray, " 3"]:
        """Where the camera stood: ``-R^T t``, in metres."""
        return -self.pose[:, :3].T @ self.pose[:, 3]


def load(root: Path | None = None, *, distractors: bool = True) -> Benchmark:
    """Load the evaluation split.

    Args:
        root: The set's folder; None: the one of this checkout.
        distractors: Whether photos of places without a landmark join the database.

    Raises:
        DatasetError: If the set is not there; see `damaged_files` for whether it is whole.
    """
    folder = _whole(root) / "eval"
    names = scan(folder / "images").names
    places = [name for name in names if name.startswith(PLACE)] if distractors else []
    shown = [name for name in names if not name.startswith(PLACE)]
    database = tuple(f"images/{name}" for name in (*shown, *places))
    queries, truths = read_ground_truth(folder / "gt", folder, database)
    distractor_queries = scan(folder / "strangers").names
    return Benchmark(
        name="rendered+places" if distractors else "rendered",
        root=folder,
        database=database,
        distractor_count=len(places),
        queries=queries,
        truths={STANDARD: truths},
        distractor_queries=tuple(
            Query(name=Path(name).stem, photo=f"strangers/{name}") for name in distractor_queries
        ),
    )


def training_photos(root: Path | None = None) -> PhotoFolder:
    """Return the training split: one sub-folder a landmark."""
    return scan(_whole(root) / "train")


def annotations(root: Path | None = None) -> dict[str, PhotoAnnotation]:
    """Read the truth of each photo of `eval`, by the names that `load` gives its photos."""
    path = _whole(root) / "eval" / "truth.jsonl"
    with path.open(encoding="utf-8") as lines:
        found = [_truth(json.loads(line)) for line in lines]
    return {each.photo: each for each in found}


def landmark_bounds(root: Path | None = None) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the lowest and the highest corner ``(x, y, z)`` of each `eval` landmark, in metres."""
    path = _whole(root) / "eval" / "landmarks.json"
    boxes = json.loads(path.read_text(encoding="utf-8"))
    return {name: (np.array(box["low"]), np.array(box["high"])) for name, box in boxes.items()}


def damaged_files(root: Path | None = None) -> list[str]:
    """List the files that differ from the set's SHA256SUMS, or are missing."""
    folder = _whole(root)
    bad = []
    for line in (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines():
        checksum, name = line.split("  ", 1)
        path = folder / name
        if not path.is_file() or sha256(path) != checksum:
            bad.append(name)
    return bad


def _whole(root: Path | None) -> Path:
    root = ROOT if root is None else Path(root)
    if not (root / "SHA256SUMS").is_file():
        raise DatasetError(
            f"{root}: the rendered set is not here (SHA256SUMS is missing); it comes with the "
            "repository, in data/landmarks: name that folder, or run from a checkout"
        )
    return root


def _truth(record: Mapping[str, Any]) -> PhotoAnnotation:
    seen = record.get("visibility") or {"framed": 0.0, "unhidden": 0.0, "area": 0.0}
    camera = record["camera"]
    return PhotoAnnotation(
        photo=record["photo"],
        landmark=record["landmark"],
        grade=record.get("grade"),
        framed_fraction=seen["framed"],
        unoccluded_fraction=seen["unhidden"],
        area_fraction=seen["area"],
        size=(record["height"], record["width"]),
        intrinsics=np.array(camera["intrinsics"]),
        pose=np.array(camera["pose"]),
        view=record["view"],
        encoded_mask=record.get("mask", ""),
    )


def find_folder(root: Path | str) -> Path:
    """Return the folder of the rendered set: ``landmarks`` below ``root``, or the checkout's."""
    copy = Path(root) / ROOT.name
    return copy if (copy / "SHA256SUMS").is_file() else ROOT
