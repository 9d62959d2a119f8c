"""The set's landmarks: a name, a family and a variant each, spread over train and eval.

A landmark's variant fixes what a stranger knows it by; the set's seed draws its proportions, the
tone of its materials and how weathered they are.
"""

import colorsys
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from render import (
    arenas,
    basilicas,
    bridges,
    campaniles,
    castles,
    city_gates,
    gothic,
    guildhalls,
    iron_halls,
    lighthouses,
    mills,
    monuments,
    mosques,
    museums,
    pagodas,
    palaces,
    pyramids,
    shrines,
    temples,
    towers,
    wood_churches,
    works,
)
from render.finishes import Finish, Model
from render.views import generator

Family = Callable[[int, np.random.Generator], Model]
FAMILIES: dict[str, Family] = {
    "temple": temples.temple,
    "gothic": gothic.gothic,
    "basilica": basilicas.basilica,
    "campanile": campaniles.campanile,
    "bridge": bridges.bridge,
    "castle": castles.castle,
    "pagoda": pagodas.pagoda,
    "mosque": mosques.mosque,
    "pyramid": pyramids.pyramid,
    "monument": monuments.monument,
    "tower": towers.tower,
    "palace": palaces.palace,
}
# Families of the large world. Their designs draw details from the generator, so that siblings differ.
LATER_FAMILIES: dict[str, Family] = {
    "lighthouse": lighthouses.lighthouse,
    "mill": mills.mill,
    "guildhall": guildhalls.guildhall,
    "wood_church": wood_churches.wood_church,
    "shrine": shrines.shrine,
    "museum": museums.museum,
    "iron_hall": iron_halls.iron_hall,
    "arena": arenas.arena,
    "city_gate": city_gates.city_gate,
    "works": works.works,
}
NAMES = {
    "temple": ("white_temple", "rotunda", "golden_ruin", "old_pantheon", "podium_temple"),
    "gothic": ("twin_spires", "red_minster", "king_gallery", "odd_towers", "brick_gable"),
    "basilica": ("lead_dome", "striped_duomo", "gilded_sobor", "red_baths", "yellow_baroque"),
    "campanile": ("brick_belfry", "leaning_tower", "banded_torre", "clock_tower", "onion_steeple"),
    "bridge": ("statue_bridge", "house_bridge", "high_arch", "aqueduct", "chain_bridge"),
    "castle": ("hill_castle", "white_keep", "fairy_castle", "red_kremlin", "black_castle"),
    "pagoda": ("red_pagoda", "nine_eaves", "imperial_hall", "wood_pagoda", "brick_ta"),
    "mosque": ("grey_mosque", "white_tomb", "blue_portal", "six_minarets", "square_minaret"),
    "pyramid": ("four_stairs", "ziggurat", "bell_terraces", "roof_comb", "three_pyramids"),
    "monument": ("obelisk", "victory_column", "chariot_arch", "rider_exedra", "great_fountain"),
    "tower": ("setback_tower", "twisted_tower", "iron_tower", "sphere_mast", "leaning_slabs"),
    "palace": ("long_palace", "canal_palace", "town_palace", "mansard_palace", "sky_palace"),
}
LATER_NAMES = {
    "lighthouse": ("red_light", "brick_light", "iron_light", "pharos"),
    "mill": ("ridge_mills", "smock_mill", "water_mill", "post_mill"),
    "guildhall": ("timber_rathaus", "guild_row", "cloth_hall", "crane_gate"),
    "wood_church": ("stave_church", "onion_pogost", "three_shingles", "needle_church"),
    "shrine": ("lotus_towers", "shikhara", "gopuram", "eyed_stupa"),
    "museum": ("shell_opera", "concrete_stack", "white_spiral", "pipe_house"),
    "iron_hall": ("fan_station", "palm_house", "market_halls", "crystal_hall"),
    "arena": ("amphitheatre", "mast_stadium", "bullring", "playhouse"),
    "city_gate": ("brick_drums", "blue_gate", "paifang", "column_gate"),
    "works": ("power_station", "gasholder", "mushroom_tower", "observatory"),
}
# Landmarks of the large world that a second building of the same design resembles: one a family.
WITH_SIBLING = (
    "brick_light",
    "smock_mill",
    "guild_row",
    "three_shingles",
    "gopuram",
    "concrete_stack",
    "fan_station",
    "bullring",
    "paifang",
    "observatory",
)
# A sibling's proportions, and the hue, strength and lightness of its tones, drift this much more.
SIBLING_STRETCH, SIBLING_DRIFT = 2.2, (1.2, 2.2, 2.2)
EVAL = (
    "old_pantheon",
    "king_gallery",
    "striped_duomo",
    "leaning_tower",
    "statue_bridge",
    "red_kremlin",
    "nine_eaves",
    "blue_portal",
    "four_stairs",
    "chariot_arch",
    "canal_palace",
)


@dataclass(frozen=True, kw_only=True)
class Landmark:
    """One landmark of the set.

    Attributes:
        number: Its place in the set, a key of its random numbers.
        name: Its name, a slug.
        family: One of `FAMILIES` or `LATER_FAMILIES`.
        variant: Which of the family's designs, 0 to 4.
        split: "train", "eval" or "siblings".
        sibling_of: The landmark whose design this one repeats; empty: none.
    """

    number: int
    name: str
    family: str
    variant: int
    split: str
    sibling_of: str = ""


def _catalogue() -> tuple[Landmark, ...]:
    """List the landmarks: 49 to train on, 11 to evaluate on."""
    rows = []
    for f, family in enumerate(FAMILIES):
        for v, name in enumerate(NAMES[family]):
            split = "eval" if name in EVAL else "train"
            rows.append(
                Landmark(number=5 * f + v, name=name, family=family, variant=v, split=split)
            )
    return tuple(rows)


LANDMARKS = _catalogue()


def _later_catalogue() -> tuple[Landmark, ...]:
    """List the large world's 40 landmarks to evaluate on, each followed by its sibling."""
    rows = []
    for f, (family, names) in enumerate(LATER_NAMES.items()):
        for v, name in enumerate(names):
            number = 1000 + 4 * f + v
            mark = Landmark(number=number, name=name, family=family, variant=v, split="eval")
            rows.append(mark)
            if name in WITH_SIBLING:
                rows.append(
                    replace(
                        mark,
                        number=number + 1000,
                        name=f"{name}_sibling",
                        split="siblings",
                        sibling_of=name,
                    )
                )
    return tuple(rows)


LATER_LANDMARKS = _later_catalogue()


def model(landmark: Landmark, seed: int) -> Model:
    """Build a landmark: its variant's design, in the set's proportions and tones."""
    rng = generator(seed, landmark.number, 1)
    made = (FAMILIES | LATER_FAMILIES)[landmark.family](landmark.variant, rng)
    stretch = rng.uniform([0.95, 0.95, 0.94], [1.06, 1.05, 1.1])
    drift = rng.normal(0, [0.012, 0.06, 0.03])
    if landmark.sibling_of:
        stretch, drift = 1 + SIBLING_STRETCH * (stretch - 1), drift * SIBLING_DRIFT
    finishes = {
        role: _toned(finish, drift, rng.normal(0, 0.12)) for role, finish in made.palette.items()
    }
    return replace(made, shape=made.shape.scaled(*stretch), palette=finishes)


def _toned(finish: Finish, drift: np.ndarray, wear: float) -> Finish:
    """Shift a finish's hue, saturation and lightness, and how worn it is."""
    red, green, blue = (int(finish.colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
    hue, light, strength = colorsys.rgb_to_hls(red, green, blue)
    light = float(np.clip(light + drift[2], 0.02, 0.93))
    strength = float(np.clip(0.86 * strength * (1 + drift[1]), 0, 1))
    rgb = colorsys.hls_to_rgb((hue + drift[0]) % 1.0, light, strength)
    colour = "#" + "".join(f"{round(255 * channel):02x}" for channel in rgb)
    worn = finish.weather + wear if finish.weather else 0.0
    return replace(finish, colour=colour, weather=round(float(np.clip(worn, 0.0, 1.0)), 2))
