"""What is known of each photo: the landmark's silhouette, its visible mask, its visibility."""

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from render.geometry import Shape

NEAR = 0.1  # metres; what is nearer to the camera plane is cut away
FINE = 3  # silhouettes are drawn at thrice the resolution, to thin the outline of each polygon
MARGIN = 1  # frames drawn on each side of the frame, for what the frame cuts off


@dataclass(frozen=True)
class Visibility:
    """How much of the landmark a photo shows.

    Attributes:
        framed: Share of the landmark's silhouette that lies in the frame (0 to 1), measured on a
            canvas three frames wide and high.
        unhidden: Share of the framed silhouette that nothing hides.
        area: Share of the frame's pixels that show the landmark.
    """

    framed: float
    unhidden: float
    area: float

    @property
    def shown(self) -> float:
        """Share of the whole landmark that the photo shows."""
        return self.framed * self.unhidden


def silhouette(
    shape: Shape, intrinsics: np.ndarray, pose: np.ndarray, width: int, height: int
) -> tuple[np.ndarray, float]:
    """Project a shape: its unoccluded mask `(height, width)`, and the share that is framed."""
    seen = shape.vertices @ pose[:, :3].T + pose[:, 3]
    canvas = (width * FINE * (2 * MARGIN + 1), height * FINE * (2 * MARGIN + 1))
    image = Image.new("1", canvas)
    draw = ImageDraw.Draw(image)
    offset = np.array([width, height]) * MARGIN
    scale = np.diag(intrinsics)[:2]

    def pixels(points: np.ndarray) -> list[tuple[float, float]]:
        at = points[:, :2] / points[:, 2:] * scale + intrinsics[:2, 2] + offset
        return list(map(tuple, np.clip(at * FINE, -1e5, 1e5).tolist()))

    ahead = seen[:, 2] > NEAR
    flat = pixels(np.where(ahead[:, None], seen, 1.0))
    corners, whole = shape.corners.tolist(), ahead[shape.corners].tolist()
    ends = np.cumsum(shape.sizes)
    for start, end in zip((ends - shape.sizes).tolist(), ends.tolist(), strict=True):
        if all(whole[start:end]):
            draw.polygon([flat[k] for k in corners[start:end]], fill=1)
        elif any(whole[start:end]):
            draw.polygon(pixels(_clipped(seen[corners[start:end]])), fill=1)
    full = np.asarray(image)
    top, left = offset[1] * FINE, offset[0] * FINE
    inside = full[top : top + height * FINE, left : left + width * FINE]
    total = max(int(full.sum()), 1)
    return inside[1::FINE, 1::FINE].copy(), float(inside.sum() / total)


def _clipped(points: np.ndarray) -> np.ndarray:
    """Cut a polygon `(N, 3)` that crosses z = NEAR there."""
    kept = []
    for k, point in enumerate(points):
        after = points[(k + 1) % len(points)]
        if point[2] > NEAR:
            kept.append(point)
        if (point[2] > NEAR) != (after[2] > NEAR):
            t = (NEAR - point[2]) / (after[2] - point[2])
            kept.append(point + t * (after - point))
    return np.array(kept)


def visibility(mask: np.ndarray, alone: np.ndarray, framed: float) -> Visibility:
    """Compare the visible mask with the landmark's mask were it alone."""
    unhidden = float(mask.sum() / max(int(alone.sum()), 1))
    return Visibility(framed, min(unhidden, 1.0), float(mask.mean()))


def encode(mask: np.ndarray) -> str:
    """Pack a mask as a 1-bit PNG in base64: some hundred bytes."""
    data = io.BytesIO()
    Image.fromarray(np.asarray(mask, bool)).save(data, "PNG", optimize=True)
    return base64.b64encode(data.getvalue()).decode()


def decode(text: str) -> np.ndarray:
    """Unpack what `encode` packed: `(height, width)` bool."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text)))).astype(bool)
