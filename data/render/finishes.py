"""Finishes and palettes: which surface each role of a landmark has. No `bpy` here."""

from dataclasses import dataclass

from render.geometry import Shape


@dataclass(frozen=True)
class Finish:
    """A surface: what `materials` builds a node tree from.

    Attributes:
        kind: The pattern: ashlar, brick, marble, plaster, sandstone, banded, tile, slate, copper,
            gold, glass, mosaic, wood, water, asphalt, paving, grass, foliage, paint or light.
        colour: Main colour, "#rrggbb" in sRGB.
        second: Second colour: joints, bands, patches; empty: derived from the first.
        scale: Size of the pattern's unit in metres.
        weather: 0 new to 1 old: soot, streaks, moss.
    """

    kind: str
    colour: str
    second: str = ""
    scale: float = 1.0
    weather: float = 0.4


@dataclass(frozen=True)
class Model:
    """A landmark's shape with its palette and the place that suits it.

    Attributes:
        shape: The shape in metres, centred on the origin, front toward -y, ground at z = 0.
        palette: Finish of each role.
        setting: "city", "square", "park", "village", "hill", "water" or "river".
    """

    shape: Shape
    palette: dict[str, Finish]
    setting: str = "square"


@dataclass(frozen=True)
class Thing:
    """One thing of the stock: a shape about the origin, facing -y, and its finishes."""

    name: str
    shape: Shape
    palette: dict[str, Finish]


LIMESTONE = Finish("ashlar", "#d3c29c", scale=0.9)
WHITE = Finish("marble", "#e9e5da", weather=0.25)
GREY = Finish("ashlar", "#8d8b86", scale=0.8, weather=0.6)
DARK_STONE = Finish("ashlar", "#5c5852", scale=0.8, weather=0.7)
PINK = Finish("sandstone", "#c08a70", weather=0.4)
RED_STONE = Finish("sandstone", "#9c4f38", weather=0.4)
GOLD_STONE = Finish("sandstone", "#c9a05c", weather=0.5)
BRICK = Finish("brick", "#94442f", scale=0.5)
DARK_BRICK = Finish("brick", "#6d3429", scale=0.5, weather=0.6)
YELLOW_BRICK = Finish("brick", "#bd9a5e", scale=0.5)
OCHRE = Finish("plaster", "#d8a544")
CREAM = Finish("plaster", "#e6d9b8")
ROSE = Finish("plaster", "#cf8f80")
SKY = Finish("plaster", "#8fb0c6")
MINT = Finish("plaster", "#9dbf9b")
CHALK = Finish("plaster", "#ece9e2", weather=0.3)
SIENA = Finish("banded", "#e6e0d2", "#3c4a42", scale=1.4)
PISAN = Finish("banded", "#ded0b0", "#a5523c", scale=1.8)

TERRACOTTA = Finish("tile", "#a9533a", scale=0.5)
SLATE = Finish("slate", "#4b535d", scale=0.45)
GREEN_TILE = Finish("tile", "#3f7257", scale=0.5, weather=0.2)
BLUE_TILE = Finish("tile", "#2e5f93", scale=0.5, weather=0.2)
YELLOW_TILE = Finish("tile", "#c9922e", scale=0.5, weather=0.2)
GREY_TILE = Finish("tile", "#575b5c", scale=0.5)
COPPER = Finish("copper", "#6fa792")
LEAD = Finish("copper", "#8d979c", weather=0.3)
GILT = Finish("gold", "#d6a73a")
TURQUOISE = Finish("mosaic", "#2b8f9c", "#e3d9a8", scale=1.6)
COBALT = Finish("mosaic", "#2c4f9e", "#e8d48c", scale=1.4)

BASE = {
    "trim": LIMESTONE,
    "base": Finish("ashlar", "#a9a294", scale=1.2, weather=0.5),
    "frieze": Finish("marble", "#b9ac90"),
    "column": LIMESTONE,
    "statue": Finish("marble", "#c9c4b6", weather=0.6),
    "glass": Finish("glass", "#26313a"),
    "stained": Finish("glass", "#35323f"),
    "door": Finish("wood", "#54341f"),
    "dark": Finish("paint", "#1f1c1a", weather=0.1),
    "gold": GILT,
    "clock": Finish("paint", "#efe9d6", weather=0.1),
    "water": Finish("water", "#33525c"),
    "accent": Finish("wood", "#6a4a30"),
    "ridge": Finish("paint", "#6d6a66"),
    "dome": LEAD,
    "roof": TERRACOTTA,
    "wall": LIMESTONE,
    "minaret": LIMESTONE,
    "second": BRICK,
    "grass": Finish("grass", "#5c7a38"),
    "steel": Finish("paint", "#6b7076", weather=0.2),
}


def palette(wall: Finish, roof: Finish, trim: Finish, **others: Finish) -> dict[str, Finish]:
    """Return `BASE` with a landmark's own finishes; columns and minarets follow trim and wall."""
    own = {"wall": wall, "roof": roof, "trim": trim, "column": trim, "minaret": wall}
    return {**BASE, **own, **others}
