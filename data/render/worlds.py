"""The two worlds that the command renders: the small set, and a larger and harder one.

The small set's photos follow from its settings to the byte: leave them as they are. Both worlds have
the same 49 landmarks to train on, from the same cameras; the large one takes them at 640 x 480.
"""

from dataclasses import dataclass

from render.landmarks import LANDMARKS, LATER_LANDMARKS, Landmark
from render.views import View

CALIBRATED = 4  # every fourth training landmark is in the calibration set: 12 of them
# Photos of the calibration set have other numbers, so other views, than training photos.
CALIBRATION_PHOTOS = range(100, 108)


@dataclass(frozen=True, kw_only=True)
class World:
    """What is rendered, and how.

    Attributes:
        name: "small" or "large".
        landmarks: Landmarks of each split that has any.
        places: Numbers of the scenes without a landmark, of each split that has any.
        photos: Numbers of a scene's photos, for each split.
        optional: Splits that `--split all` leaves out.
        size: Long side of a photo in pixels.
        samples: Cycles samples a pixel.
        queries: Queries of each landmark.
        habits: Name of the habits of each split's photographers, one of `views.HABITS`.
        stock: Name of each split's surroundings, one of `stock.STOCKS`.
        suffix: "jpg" or "webp".
    """

    name: str
    landmarks: dict[str, tuple[Landmark, ...]]
    places: dict[str, range]
    photos: dict[str, range]
    optional: tuple[str, ...] = ()
    size: int
    samples: int
    queries: int
    habits: dict[str, str]
    stock: dict[str, str]
    suffix: str

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits of the set, in the order in which they are rendered."""
        return tuple(split for split in self.photos if split not in self.optional)

    def quality(self, view: View) -> int:
        """Return the quality to save a photo with: the view's JPEG quality, or 76 to 84 for WebP."""
        return view.jpeg if self.suffix == "jpg" else 76 + (view.jpeg - 68) // 3


_TRAIN = tuple(mark for mark in LANDMARKS if mark.split == "train")

SMALL = World(
    name="small",
    landmarks={
        "train": _TRAIN,
        "eval": tuple(mark for mark in LANDMARKS if mark.split == "eval"),
    },
    # Strangers are queries: no photo of their places is in the database.
    places={"distractors": range(16), "strangers": range(100, 120)},
    photos={"train": range(15), "eval": range(24), "distractors": range(8), "strangers": range(2)},
    size=320,
    samples=16,
    queries=5,  # of each landmark, as in Oxford5k
    habits={"train": "train", "eval": "eval", "distractors": "train", "strangers": "train"},
    stock=dict.fromkeys(("train", "eval", "distractors", "strangers"), "home"),
    suffix="jpg",
)

_HARDER = ("eval", "siblings", "distractors", "strangers", "calibration")

LARGE = World(
    name="large",
    landmarks={
        "eval": tuple(mark for mark in LATER_LANDMARKS if mark.split == "eval"),
        "siblings": tuple(mark for mark in LATER_LANDMARKS if mark.split == "siblings"),
        "train": _TRAIN,
        "calibration": _TRAIN[1::CALIBRATED],
    },
    places={"distractors": range(500, 525), "strangers": range(600, 800)},
    photos={
        "eval": range(12),
        "siblings": range(12),
        "distractors": range(8),
        "strangers": range(1),
        "train": range(15),
        "calibration": CALIBRATION_PHOTOS,
    },
    optional=("calibration",),
    size=640,
    samples=8,  # with WebP and a camera's noise, 16 look the same and take twice as long
    queries=4,
    habits={"train": "train"} | dict.fromkeys(_HARDER, "large-hard"),
    # Calibration photos are of training landmarks in their own places.
    stock=dict.fromkeys(_HARDER, "abroad") | {"train": "home", "calibration": "home"},
    suffix="webp",
)

WORLDS = {world.name: world for world in (SMALL, LARGE)}
