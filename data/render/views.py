"""Tourists' views: where the camera stands, what the weather is, how the camera is set.

Everything follows from one seed sequence (set seed, landmark, photo, attempt), so that a photo can
be taken again alone. Angles are radians, lengths metres, focal lengths 35 mm-equivalent.
"""

from dataclasses import asdict, dataclass

import numpy as np

SHOTS = ("detail", "near", "whole", "side", "far", "skyline")
SKIES = ("clear", "fair", "overcast", "low sun", "fog")
GOLDEN = (5**0.5 - 1) / 2  # multiples of it, modulo 1, fill [0, 1] evenly
FOG_DEPTH = 1.1  # optical depth to the landmark, at most: about a third of its light is left
SENSOR = (36.0, 27.0)  # mm, the long and the short side of a 4:3 frame


@dataclass(frozen=True, kw_only=True)
class Habits:
    """What photographers of a split tend to do.

    The defaults are the small set's.

    Attributes:
        shots: Share of each of `SHOTS`.
        yaw: Standard deviation of the angle to the front.
        night: Share of the photos after dark.
        branch: Share of the photos with leaves in the frame.
        side: Standard deviation of the angle to the front of a "side" shot.
        passers: Share of the photos with 0, 1, 2 and 4 people close to the camera.
        skies: Share of each of `SKIES`.
        sun: Standard deviation of the sun's direction from straight before the front.
        faults: Factor of the camera's faults: exposure, white balance, noise and blur.
        drift: Standard deviation of the aim, as a share of the frame.
        even: Whether the kinds of shot come in their shares at each landmark, not by chance.
    """

    shots: tuple[float, ...]
    yaw: float
    night: float
    branch: float
    side: float = 1.1
    passers: tuple[float, ...] = (0.7, 0.14, 0.1, 0.06)
    skies: tuple[float, ...] = (0.34, 0.28, 0.2, 0.12, 0.06)
    sun: float = 0.9
    faults: float = 1.0
    drift: float = 0.07
    even: bool = False


# Photos to evaluate on are taken from more sides, so that ImageNet features do not find all of them.
HABITS = {
    "train": Habits(shots=(0.14, 0.2, 0.32, 0.14, 0.12, 0.08), yaw=0.42, night=0.12, branch=0.12),
    "eval": Habits(shots=(0.08, 0.18, 0.24, 0.24, 0.16, 0.1), yaw=0.75, night=0.18, branch=0.2),
    "large-moderate": Habits(
        shots=(0.06, 0.16, 0.26, 0.28, 0.16, 0.08),
        yaw=0.9,
        night=0.2,
        branch=0.24,
        side=1.4,
        passers=(0.5, 0.22, 0.16, 0.12),
        skies=(0.28, 0.24, 0.22, 0.16, 0.1),
        sun=1.3,
        faults=1.25,
        drift=0.08,
        even=True,
    ),
    "large-hard": Habits(
        shots=(0.08, 0.16, 0.2, 0.3, 0.18, 0.08),
        yaw=1.2,
        night=0.28,
        branch=0.34,
        side=1.8,
        passers=(0.35, 0.22, 0.22, 0.21),
        skies=(0.22, 0.2, 0.24, 0.2, 0.14),
        sun=1.9,
        faults=1.6,
        drift=0.1,
        even=True,
    ),
}


@dataclass(frozen=True, kw_only=True)
class View:
    """One photograph to take.

    Attributes:
        shot: One of `SHOTS`, or "street" where there is no landmark.
        eye: Camera position.
        target: Point in the middle of the frame.
        roll: Camera roll.
        focal: Focal length over a 36 mm long side.
        portrait: Whether the long side is upright.
        sun_elevation: Sun's height.
        sun_azimuth: Sun's direction, counter-clockwise from +x.
        clouds: 0 clear to 1 overcast.
        haze: Dust in the sky, 0 to 1.
        fog: Extinction per metre.
        night: Whether the lamps are lit.
        dusk: Light left in the night sky, 0 to 1.
        sky_seed: Where in the field of clouds the sky is taken.
        branch: Whether leaves hang into the frame.
        passers: People close to the camera.
        exposure: Error of the exposure in stops.
        warmth: White balance: > 0 is warmer.
        noise: Sensor noise at mid grey, share of full scale.
        blur: Gaussian blur in pixels at 480 px width.
        vignette: Darkening of the corners, 0 to 1.
        saturation: Colour strength, about 1.
        jpeg: JPEG quality.
        seed: Seed of the sensor's noise and of the passers-by.
    """

    shot: str
    eye: tuple[float, float, float]
    target: tuple[float, float, float]
    roll: float
    focal: float
    portrait: bool
    sun_elevation: float
    sun_azimuth: float
    clouds: float
    haze: float
    fog: float
    night: bool
    dusk: float
    sky_seed: float
    branch: bool
    passers: int
    exposure: float
    warmth: float
    noise: float
    blur: float
    vignette: float
    saturation: float
    jpeg: int
    seed: int

    def rotation(self) -> np.ndarray:
        """Return the world-to-camera rotation `(3, 3)`: rows right, down, ahead."""
        ahead = np.array(self.target) - np.array(self.eye)
        ahead /= np.linalg.norm(ahead)
        right = np.cross(ahead, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        down = np.cross(ahead, right)
        c, s = np.cos(self.roll), np.sin(self.roll)
        return np.array([c * right + s * down, c * down - s * right, ahead])

    def record(self) -> dict[str, object]:
        """Return the view as plain values for JSON, rounded to what matters."""
        plain = {}
        for name, value in asdict(self).items():
            if isinstance(value, tuple):
                value = [round(v, 3) for v in value]
            plain[name] = round(value, 4) if isinstance(value, float) else value
        return plain


def generator(*keys: int) -> np.random.Generator:
    """Return the generator of a tuple of keys, such as (seed, landmark, photo, attempt)."""
    return np.random.default_rng(np.random.SeedSequence([abs(int(key)) for key in keys]))


def weather(rng: np.random.Generator, habits: Habits) -> dict[str, object]:
    """Draw time of day and weather; the sun stands mostly before the front (-y)."""
    night = bool(rng.random() < habits.night)
    kind = rng.choice(SKIES, p=habits.skies)
    high = np.deg2rad(rng.uniform(5, 12) if kind == "low sun" else rng.uniform(20, 62))
    clouds = {"clear": rng.uniform(0, 0.15), "fair": rng.uniform(0.25, 0.55), "overcast": 1.0}
    return {
        "night": night,
        "dusk": float(rng.random()),
        "sun_elevation": float(high),
        "sun_azimuth": float(-np.pi / 2 + rng.normal(0, habits.sun)),
        "clouds": float(clouds.get(str(kind), rng.uniform(0, 0.4) if kind == "low sun" else 0.9)),
        "haze": float(rng.random() ** 2),
        "fog": float(rng.uniform(0.0025, 0.007) if kind == "fog" else rng.uniform(0, 0.0006)),
        "sky_seed": float(rng.uniform(0, 100)),
    }


def camera_faults(rng: np.random.Generator, faults: float = 1.0) -> dict[str, object]:
    """Draw what a pocket camera and its owner do to a picture, `faults` times as bad."""
    return {
        "exposure": faults * float(rng.normal(0.0, 0.35)),
        "warmth": faults * float(rng.normal(0.0, 0.06)),
        "noise": faults * float(rng.uniform(0.002, 0.014)),
        "blur": faults * float(max(0.0, rng.normal(0.15, 0.35))),
        "vignette": float(rng.uniform(0.0, 0.35)),
        "saturation": float(rng.normal(0.98, 0.1)),
        "jpeg": int(rng.integers(68, 93)),
        "roll": float(np.deg2rad(rng.normal(0, 1.6))),
        "seed": int(rng.integers(2**31)),
    }


def draw_shot(rng: np.random.Generator, habits: Habits) -> str:
    """Draw the kind of a photo."""
    return str(rng.choice(SHOTS, p=habits.shots))


def even_shot(start: float, photo: int, habits: Habits) -> str:
    """Return the kind of a photo where kinds come in their shares; `start` in [0, 1) is the place's."""
    at = (start + photo * GOLDEN) % 1
    return SHOTS[min(int(np.searchsorted(np.cumsum(habits.shots), at)), len(SHOTS) - 1)]


def sample(
    rng: np.random.Generator, low: np.ndarray, high: np.ndarray, *, shot: str, habits: Habits
) -> View:
    """Draw a view of a landmark whose bounding box is [low, high], `(3,)` each."""
    size = high - low
    portrait = bool(rng.random() < (0.5 if size[2] > 1.3 * max(size[:2]) else 0.08))
    focal = float(
        rng.uniform(
            *{"detail": (45, 90), "near": (20, 32), "far": (35, 75), "skyline": (30, 60)}.get(
                shot, (24, 45)
            )
        )
    )
    share = rng.uniform(
        *{
            "detail": (1.7, 3.2),
            "near": (1.0, 1.5),
            "whole": (0.75, 1.05),
            "side": (0.6, 1.0),
            "far": (0.25, 0.45),
            "skyline": (0.26, 0.42),
        }[shot]
    )
    yaw = rng.normal(0, {"side": habits.side, "skyline": 1.5}.get(shot, habits.yaw))
    across = abs(np.cos(yaw)) * size[0] + abs(np.sin(yaw)) * size[1]
    wide, tall = SENSOR[::-1] if portrait else SENSOR
    distance = max(focal * max(size[2] / tall, 0.9 * across / wide) / share, 9.0)
    middle = (low + high) / 2
    middle[2] = low[2] + 0.45 * size[2]
    reach = 0.5 * min(size[0], size[1])
    ahead = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    eye = middle + ahead * (distance + reach * (0.9 if shot != "detail" else 1.0))
    eye[2] = rng.uniform(1.5, 2.0)
    lifted = {"skyline": 1.0, "far": 0.75, "side": 0.25, "whole": 0.2}.get(shot, 0.1)
    if rng.random() < lifted:
        eye[2] = rng.uniform(4.0, 14.0) + (
            rng.uniform(8, 30) if shot in ("far", "skyline") else 0.0
        )
    if shot == "detail":
        spread = rng.uniform([-0.32, -0.5, 0.1], [0.32, -0.4, 0.38]) * size
        target = middle + spread
    else:
        side = np.array([np.cos(yaw), np.sin(yaw), 0.0])
        span = distance / focal
        drift = rng.normal(0, habits.drift, 2) * span * np.array([wide, tall])
        target = middle + side * drift[0] + np.array([0, 0, drift[1]])
    air = weather(rng, habits)
    air["fog"] = min(air["fog"], FOG_DEPTH / distance)
    return View(
        shot=shot,
        eye=tuple(map(float, eye)),
        target=tuple(map(float, target)),
        focal=focal,
        portrait=portrait,
        branch=bool(rng.random() < habits.branch),
        passers=int(rng.choice([0, 1, 2, 4], p=habits.passers)),
        **air,
        **camera_faults(rng, habits.faults),
    )


def sample_street(
    rng: np.random.Generator, extent: float, habits: Habits = HABITS["train"]
) -> View:
    """Draw a view of a place without a landmark, within `extent` of its middle."""
    eye = np.array([*rng.uniform(-extent, extent, 2), rng.uniform(1.5, 2.2)])
    if rng.random() < 0.25:
        eye[2] = rng.uniform(8, 35)
    angle = rng.uniform(0, 2 * np.pi)
    target = eye + 50 * np.array(
        [np.cos(angle), np.sin(angle), rng.normal(0.04, 0.06) - eye[2] / 150]
    )
    return View(
        shot="street",
        eye=tuple(map(float, eye)),
        target=tuple(map(float, target)),
        focal=float(rng.uniform(22, 60)),
        portrait=bool(rng.random() < 0.15),
        branch=bool(rng.random() < 0.1),
        passers=int(rng.choice([0, 1, 3], p=[0.7, 0.2, 0.1])),
        **weather(rng, habits),
        **camera_faults(rng, habits.faults),
    )
