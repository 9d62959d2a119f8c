"""Halls of townsfolk: a timber town hall, guild houses, a cloth hall, a crane gate."""

import numpy as np

from render.craft import ARCADE, SASH, block, dormer, gable_plate, strut, timber
from render.finishes import CREAM, GREY, LIMESTONE, SLATE, TERRACOTTA, Finish, Model, palette
from render.geometry import Shape, box, copies, join, lathe, plate, tube
from render.openings import Opening, bay, drum, four_walls, row
from render.orders import cornice, figure, line_of, stairs
from render.ornament import merlons, roundel
from render.roofs import finial, gable_roof, hip_roof, pinnacle, spire

POINTED = Opening(
    width=0.5, sill=0.2, spring=0.6, kind="pointed", depth=0.5, frame=0.22, bars=(2, 2)
)


def guildhall(variant: int, rng: np.random.Generator) -> Model:
    """Make a townsfolk's hall: half-timbered, a row of guild houses, a cloth hall, or a crane gate."""
    return (_rathaus, _guilds, _cloth, _crane)[variant](rng)


def _jetty(width: float, depth: float, height: float, bays: tuple[int, int], brace: str) -> Shape:
    """Four half-timbered walls on beam ends."""
    ends = box(0.3, depth + 0.7, 0.35, "beam", z=-0.35)
    walls = four_walls(width, depth, lambda n, k: timber(n, height, bays[k % 2], brace=brace))
    return join([walls, line_of(ends, width - 0.6, bays[0] * 2)])


def _rathaus(rng: np.random.Generator) -> Model:
    """A half-timbered town hall over an arcade, between two spired oriels."""
    wide, deep, bays = rng.uniform(20, 24), 14.0, int(rng.integers(5, 8))
    parts, z = [four_walls(wide, deep, lambda n, k: row(n, 4.6, bays - k % 2, ARCADE))], 4.6
    for k in range(int(rng.integers(2, 4))):
        grow = 0.8 * (k + 1)
        parts.append(_jetty(wide + grow, deep + grow, 3.5, (bays, 4), "xv"[k % 2]).moved(z=z))
        z += 3.5
    roof = gable_roof(deep + 3, wide + 2, 10.5, eave=0.8).turned(np.pi / 2)
    parts += [roof.moved(z=z), box(wide, deep, 0.3, "beam", z=z)]
    for s in (-1, 1):
        oriel = join(
            [
                drum(8, 2.5, 3.6, SASH).moved(z=0),
                drum(8, 2.5, z - 5.4, SASH, wall="second").moved(z=3.6),
                lathe([(0.6, -2.4), (2.5, 0)], "trim", segments=8, smooth=False),
                spire(3.0, 11, sides=8, bands=1).moved(z=z - 1.8),
            ]
        )
        parts.append(oriel.moved(s * (wide / 2 - 1.5), -deep / 2 - 1.4, 4.8))
    front = join(
        [
            timber(7, 4, 3, brace="v"),
            plate(np.array([(-3.8, 0), (3.8, 0), (0, 6.5)]), 6, "second", y=0.1).moved(z=4),
            *(strut((s * 3.8, 4), (0, 10.5), 0.4, "beam") for s in (-1, 1)),
            strut((-2, 7.0), (2, 7.0), 0.35, "beam"),
            box(0.3, 0.2, 6, "beam", y=-0.05, z=4),
            gable_roof(7, 8, 6.6, eave=0.6).moved(0, 4, 4),
        ]
    )
    parts += [
        front.moved(0, -deep / 2 - 1.4, z),
        roundel(1.3).moved(0, -deep / 2 - 1.6, z + 5.4),
        *(dormer(2.0, 1.8).moved(s * wide * 0.3, -deep * 0.36, z + 2.4) for s in (-1, 1)),
        drum(6, 1.5, 3, ARCADE, wall="second").moved(z=z + 9.6),
        spire(1.9, 6, sides=6).moved(z=z + 12.6),
        stairs(4, 1.2, 4).moved(y=-deep / 2),
        *(
            copies(
                box(0.8, 0.5, 0.5, "flower"),
                [(x, -deep / 2 - 0.7, h) for x in np.linspace(-wide * 0.4, wide * 0.4, bays)],
            )
            for h in (5.3, 8.8)
        ),
    ]
    return Model(
        join(parts),
        palette(
            Finish("plaster", "#e9dcc0"),
            TERRACOTTA,
            Finish("sandstone", "#b58a68"),
            second=Finish("plaster", "#d9b27a"),
            beam=Finish("wood", "#5b2a1c", weather=0.2),
            flower=Finish("paint", "#b03346"),
        ),
        "square",
    )


def _guilds(rng: np.random.Generator) -> Model:
    """Five narrow guild houses with stepped, bell and neck gables in five colours."""
    kinds = rng.permutation(["stepped", "bell", "neck", "stepped", "bell", "neck"])[:5]
    tall = Opening(
        width=0.62, sill=0.14, spring=0.84, frame=0.1, bars=(1, 3), depth=0.25, hood=True
    )
    shop = Opening(
        width=0.7, sill=0.0, spring=0.72, kind="segmental", frame=0.2, pane="door", bars=(3, 2)
    )
    roles = [str(r) for r in rng.permutation(["wall", "second", "third", "fourth", "fifth"])]
    parts, x = [], -23.0
    for k, (kind, role) in enumerate(zip(kinds, roles, strict=True)):
        wide, floors = rng.uniform(8, 10.4), int(rng.integers(3, 5))
        storeys = [4.6, *(3.9 - 0.25 * f for f in range(floors))]
        house, z = [row(wide, storeys[0], 3, shop, wall=role)], storeys[0]
        for height in storeys[1:]:
            house += [
                row(wide, height, 3 + (k % 2), tall, wall=role).moved(z=z),
                row(wide, height, 3, tall, wall=role).turned(np.pi).moved(y=14.1, z=z),
                box(wide, 0.5, 0.3, "trim", y=-0.1, z=z),
            ]
            if k in (0, 4):
                side = row(13.5, height, 4, tall, wall=role).turned((k - 2) * np.pi / 4)
                house.append(side.moved((k - 2) * wide / 4, 7.3, z))
            z += height
        rise = wide * rng.uniform(0.75, 0.95)
        crest = bay(2.2, 2.8, tall, wall=role).moved(0, -0.06, rise * 0.16)
        house += [
            gable_plate(wide, rise, str(kind), steps=5 + k % 3, role=role).moved(z=z),
            crest.moved(z=z),
            *(
                bay(1.4, 2.0, tall, wall=role).moved(s * 1.9, -0.05, z + rise * 0.12)
                for s in (-1, 1)
            ),
            roundel(0.7, "gold").moved(0, -0.05, z + rise * 0.62),
            figure(2.2, seed=k, role="gold").moved(0, 0.3, z + rise),
            box(wide - 0.1, 13.5, z, role, y=7.3),
            gable_roof(wide, 13, rise * 0.86, eave=0.0).moved(0, 7.2, z),
            *(box(0.5, 0.35, z - 0.2, "trim", x=s * (wide / 2 - 0.25), y=-0.08) for s in (-1, 1)),
        ]
        parts.append(join(house).moved(x=x + wide / 2))
        x += wide
    return Model(
        join(parts).moved(x=-(x - 23) / 2 + 0.0, y=-6),
        palette(
            Finish("brick", "#8f3f2d", scale=0.4),
            TERRACOTTA,
            CREAM,
            second=Finish("plaster", "#3f6a7c"),
            third=Finish("plaster", "#d8a83c"),
            fourth=Finish("ashlar", "#b9b2a2", scale=0.5),
            fifth=Finish("plaster", "#a8604c"),
        ),
        "square",
    )


def _cloth(rng: np.random.Generator) -> Model:
    """A long brick cloth hall with pointed windows, corner turrets and a belfry on the ridge."""
    wide, deep, bays = rng.uniform(50, 58), 15.0, int(rng.integers(13, 17))
    gate = Opening(
        width=0.6,
        sill=0,
        spring=0.55,
        kind="pointed",
        depth=1.2,
        frame=0.3,
        pane="door",
        bars=(3, 1),
    )
    parts = [
        four_walls(wide, deep, lambda n, k: row(n, 6, bays if k % 2 == 0 else 4, gate)),
        four_walls(wide, deep, lambda n, k: row(n, 7, bays if k % 2 == 0 else 4, POINTED)).moved(
            z=6
        ),
        cornice((wide, deep), 0.6).moved(z=5.7),
        cornice((wide, deep), 0.7).moved(z=12.6),
        four_walls(wide, deep, lambda n, k: merlons(n, size=0.9, role="trim")).moved(z=13.2),
        hip_roof(wide - 1.5, deep - 1.5, 8, ridge=0.0, eave=0).moved(z=13.2),
        *(
            dormer(1.8, 1.6).moved(x, -4.6, 15.4)
            for x in np.linspace(-wide * 0.42, wide * 0.42, 8)
            if abs(x) > 6
        ),
    ]
    turret = join([drum(8, 1.8, 8, POINTED), spire(2.1, 8, crockets=5)])
    parts += [turret.moved(x * wide / 2, y * deep / 2, 9.5) for x in (-1, 1) for y in (-1, 1)]
    parts += [
        lathe([(0.4, -2), (1.8, 0)], "trim", segments=8).moved(x * wide / 2, y * deep / 2, 9.5)
        for x in (-1, 1)
        for y in (-1, 1)
    ]
    z, side = 0.0, rng.uniform(9.5, 11)
    for height in (17.0, 9.0, 8.0):
        tower = four_walls(side, side, lambda n, k, h=height: row(n, h, 3, POINTED))
        parts += [tower.moved(0, -deep / 2 + side / 2 - 1.5, z)]
        z += height
        parts.append(cornice((side, side), 0.7).moved(0, -deep / 2 + side / 2 - 1.5, z - 0.5))
    at = -deep / 2 + side / 2 - 1.5
    parts += [
        copies(
            pinnacle(1.3, 7),
            [(x * side / 2, at + y * side / 2, z) for x in (-1, 1) for y in (-1, 1)],
        ),
        drum(8, side * 0.4, 7, POINTED).moved(0, at, z),
        spire(side * 0.45, 12, crockets=8, bands=2).moved(0, at, z + 7),
        roundel(1.9).moved(0, -deep / 2 - 1.7, z - 4),
        line_of(figure(2.4, seed=7), wide * 0.86, bays + 1).moved(0, -deep / 2 - 0.4, 6.2),
    ]
    return Model(
        join(parts),
        palette(
            Finish("brick", "#a3563c", scale=0.4, weather=0.5),
            SLATE,
            Finish("ashlar", "#d6cbb0", scale=0.5),
        ),
        "square",
    )


def _crane(rng: np.random.Generator) -> Model:
    """Two round brick towers that hold a black timber crane over the quay."""
    r, high, wide = rng.uniform(5.2, 6.2), rng.uniform(15, 18), rng.uniform(9, 11)
    slit = Opening(
        width=0.3, sill=0.3, spring=0.6, kind="segmental", depth=0.4, frame=0.0, bars=(1, 1)
    )
    parts = []
    for s in (-1, 1):
        rings = [drum(14, r, high / 4, slit).moved(z=k * high / 4) for k in range(4)]
        bands = [
            lathe([(r + 0.05, z), (r + 0.3, z + 0.3), (r, z + 0.6)], "trim", segments=28)
            for z in (0, high / 2, high - 0.6)
        ]
        cone = lathe([(r * 1.12, 0), (r * 0.6, r * 0.9), (0.1, r * 1.9)], "roof", segments=28)
        parts.append(
            join([*rings, *bands, cone.moved(z=high)]).moved(s * (wide / 2 + r * 0.7), 1, 0)
        )
    z, floors = 6.0, int(rng.integers(4, 6))
    for k in range(floors):
        w, reach, h = wide * (1 - 0.05 * k), 3.2 + 0.75 * k, 4.2
        walls = four_walls(w, 12 + reach, lambda n, s, h=h: row(n, h, 4, slit, wall="beam"))
        slats = line_of(box(0.14, 0.14, h, "second"), w, 13).moved(y=-6 - reach / 2 - 0.05)
        parts.append(join([walls, slats]).moved(0, -reach / 2 + 2, z))
        parts.append(box(w + 0.5, 12.4 + reach, 0.4, "second", y=-reach / 2 + 2, z=z))
        z += h
    reach = 3.2 + 0.75 * floors
    parts += [
        gable_roof(wide * 0.9, 13 + reach, 6.5, eave=0.7).moved(0, -reach / 2 + 2, z),
        box(2.4, 3.6, 2.8, "beam", y=-reach - 5.4, z=z + 1.4),
        gable_roof(2.4, 3.6, 1.8, eave=0.4).moved(0, -reach - 5.4, z + 4.2),
        tube(np.array([[0, -reach - 6.6, z + 1.4], [0, -reach - 6.7, 3.0]]), 0.09, "dark"),
        lathe([(0.8, 0), (1.0, 0.7), (1.0, 1.2), (0.8, 1.9), (0, 1.9)], "accent").moved(
            0, -reach - 6.7, 1.2
        ),
        bay(
            wide,
            6,
            Opening(width=0.62, sill=0, spring=0.5, kind="pointed", depth=3, frame=0.4, pane=""),
        ).moved(y=-5),
        *(
            block(11, 12, (4, 3.6, 3.6), (4, 4), SASH, wall="third", cap="gable", rise=6).moved(
                s * (wide / 2 + 2 * r + 4.4), 3, 0
            )
            for s in (-1, 1)
        ),
        *(
            gable_plate(11, 7, "stepped", role="third").moved(
                s * (wide / 2 + 2 * r + 4.4), -3.1, 11.2
            )
            for s in (-1, 1)
        ),
        finial(3).moved(0, -reach / 2 + 2, z + 6.5),
    ]
    return Model(
        join(parts),
        palette(
            Finish("brick", "#93452f", scale=0.45),
            Finish("tile", "#8d4431", scale=0.5),
            LIMESTONE,
            beam=Finish("wood", "#33281f", weather=0.5),
            second=Finish("wood", "#54432f"),
            third=Finish("plaster", "#c9b48c"),
            gable=GREY,
        ),
        "water",
    )
