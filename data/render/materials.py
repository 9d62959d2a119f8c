"""Procedural Cycles materials: a node tree for each `Finish`, with weathering.

Patterns are laid in metres along the wall: u runs level along the face, v up its slope, so that
courses stay level on every façade, drum and roof. Nodes named "night" hold what is lit after dark.
"""

import bpy
import numpy as np

from render.finishes import Finish
from render.nodes import Graph, Socket, wall_coordinates


def linear(colour: str) -> np.ndarray:
    """Turn "#rrggbb" in sRGB into linear `(3,)`."""
    value = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def _courses(g: Graph, uv: Socket, f: Finish, size: tuple[float, float], joint: float) -> Socket:
    """Blocks in courses: two tones and a joint."""
    base = linear(f.colour)
    second = linear(f.second) if f.second and f.kind != "banded" else base * 0.55
    values = {
        "Vector": uv,
        "Color1": base * 1.12,
        "Color2": base * 0.78,
        "Mortar": second,
        "Scale": 1.0,
        "Mortar Size": joint,
        "Brick Width": size[0] * f.scale,
        "Row Height": size[1] * f.scale,
        "Bias": 0.0,
        "Mortar Smooth": 0.3,
    }
    return g.node("ShaderNodeTexBrick", values).outputs["Color"]


def _pattern(g: Graph, at: Socket, uv: Socket, f: Finish) -> Socket:
    """The colour of a finish before weathering."""
    base, kind = linear(f.colour), f.kind
    if kind == "ashlar":
        return _courses(g, uv, f, (1.7, 0.75), 0.03 * f.scale)
    if kind in ("brick", "slate", "tile", "paving"):
        sizes = {
            "brick": (1.3, 0.42),
            "slate": (0.9, 0.7),
            "tile": (0.55, 0.8),
            "paving": (1.5, 1.5),
        }
        return _courses(g, uv, f, sizes[kind], 0.025 * f.scale + 0.005)
    if kind == "marble":
        veins = g.step(g.noise(g.vector("MULTIPLY", at, (1.0, 1.0, 0.45)), 0.5, 6.0), 0.42, 0.62)
        blocks = _courses(g, uv, Finish("ashlar", f.colour, scale=2.2), (1.5, 0.8), 0.02)
        return g.mix(g.math("MULTIPLY", veins, 0.45), blocks, base * [0.62, 0.64, 0.68])
    if kind == "sandstone":
        strata = g.noise(g.vector("MULTIPLY", at, (0.06, 0.06, 0.9)), 1.0, 5.0)
        blocks = _courses(g, uv, Finish("ashlar", f.colour, scale=1.3), (1.8, 0.8), 0.03)
        return g.mix(g.step(strata, 0.4, 0.65), blocks, base * [0.72, 0.62, 0.55])
    if kind == "plaster":
        peeled = g.step(g.noise(at, 0.25, 6.0), 0.62 - 0.08 * f.weather, 0.7)
        under = linear(f.second) if f.second else base * 0.72
        return g.mix(g.math("MULTIPLY", peeled, 0.8 * f.weather), base, under)
    if kind == "banded":
        rise = g.math("FRACT", g.math("DIVIDE", g.split(at)[2], f.scale))
        return g.mix(
            g.math("GREATER_THAN", rise, 0.55),
            _courses(g, uv, f, (1.5, 0.5), 0.03),
            linear(f.second),
        )
    if kind == "mosaic":
        u, v, _ = g.split(uv)
        cells = [
            g.math(
                "ABSOLUTE", g.math("SUBTRACT", g.math("FRACT", g.math("DIVIDE", s, f.scale)), 0.5)
            )
            for s in (u, v)
        ]
        diamond = g.math("ADD", *cells)
        rings = g.math("ABSOLUTE", g.math("SINE", g.math("MULTIPLY", diamond, 9.5)))
        return g.mix(g.step(rings, 0.9, 0.96), base, linear(f.second))
    if kind == "copper":
        streaks = g.noise(g.vector("MULTIPLY", at, (1.2, 1.2, 0.25)), 0.8, 5.0)
        return g.mix(g.step(streaks, 0.48, 0.72), base, base * [0.5, 0.42, 0.4])
    if kind == "wood":
        grain = g.noise(g.vector("MULTIPLY", at, (6.0, 6.0, 0.4)), 1.0, 3.0)
        return g.mix(g.step(grain, 0.35, 0.65), base * 1.2, base * 0.6)
    if kind in ("grass", "foliage", "asphalt"):
        scale = {"grass": 0.35, "foliage": 0.9, "asphalt": 0.5}[kind]
        second = linear(f.second) if f.second else base * 0.6
        tone = g.mix(g.step(g.noise(at, scale, 6.0), 0.35, 0.65), base * 1.15, second)
        if kind == "foliage":
            chance = g.node("ShaderNodeObjectInfo", {}).outputs["Random"]
            tone = g.mix(g.math("MULTIPLY", chance, 0.5), tone, base * [1.6, 1.1, 0.5])
        return tone
    return g.mix(0.0, base, base)


def _weathered(g: Graph, at: Socket, colour: Socket, amount: float) -> Socket:
    """Darken by streaks of soot under ledges, patches, and damp near the ground."""
    streak = g.step(g.noise(g.vector("MULTIPLY", at, (0.9, 0.9, 0.09)), 1.0, 4.0), 0.5, 0.75)
    patch = g.step(g.noise(at, 0.09, 4.0), 0.4, 0.75)
    soot = g.math("MULTIPLY", g.math("ADD", streak, g.math("MULTIPLY", patch, 0.7)), 0.55 * amount)
    colour = g.mix(soot, colour, (0.09, 0.085, 0.075))
    damp = g.step(g.split(at)[2], 2.2, 0.0)
    return g.mix(g.math("MULTIPLY", damp, 0.35 * amount), colour, (0.07, 0.075, 0.05))


def _lit_windows(g: Graph, at: Socket) -> tuple[Socket, Socket]:
    """Return (emission colour, strength): some windows are lit when "night" is 1."""
    cell = g.vector("FLOOR", g.vector("MULTIPLY", at, (0.4, 0.4, 0.3)))
    dice = g.node("ShaderNodeTexWhiteNoise", {"Vector": cell}, noise_dimensions="3D").outputs
    night = g.node("ShaderNodeValue", {}, name="night")
    night.outputs[0].default_value = 0.0
    lit = g.math("MULTIPLY", g.math("GREATER_THAN", dice[0], 0.5), night.outputs[0])
    lit = g.math("MULTIPLY", lit, g.math("MULTIPLY", dice[0], 0.5))
    return g.mix(dice[0], (1.0, 0.5, 0.16), (1.0, 0.75, 0.42)), lit


ROUGH = {
    "marble": 0.45,
    "tile": 0.6,
    "slate": 0.5,
    "copper": 0.5,
    "gold": 0.28,
    "glass": 0.08,
    "mosaic": 0.25,
    "water": 0.06,
    "paint": 0.5,
    "foliage": 0.7,
}


def build(name: str, finish: Finish) -> bpy.types.Material:
    """Make the material of a finish."""
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    material.node_tree.nodes.clear()
    material.cycles.emission_sampling = "NONE"  # windows glow; lamps and floodlights give light
    g = Graph(material.node_tree)
    at, uv = wall_coordinates(g)
    plain = colour = _pattern(g, at, uv, finish)
    if finish.weather and finish.kind not in ("glass", "water", "foliage", "grass", "light"):
        colour = _weathered(g, at, colour, finish.weather)
    values: dict[str | int, object] = {
        "Base Color": colour,
        "Roughness": ROUGH.get(finish.kind, 0.85),
    }
    values["Metallic"] = 1.0 if finish.kind == "gold" else 0.0
    if finish.kind in (
        "ashlar",
        "brick",
        "tile",
        "slate",
        "sandstone",
        "water",
        "foliage",
        "plaster",
    ):
        values["Normal"] = _bump(g, at, plain, finish.kind)
    if finish.kind in ("glass", "light"):
        values["Emission Color"], values["Emission Strength"] = _lit_windows(g, at)
    if finish.kind == "light":
        values["Emission Color"] = linear(finish.colour)
        values["Emission Strength"] = g.math(
            "MULTIPLY", material.node_tree.nodes["night"].outputs[0], 30.0
        )
    surface = g.node("ShaderNodeBsdfPrincipled", values).outputs[0]
    if finish.kind == "foliage":
        through = g.node(
            "ShaderNodeBsdfTranslucent", {"Color": g.mix(0.35, colour, (0.45, 0.6, 0.1))}
        )
        surface = g.node(
            "ShaderNodeMixShader", {0: 0.45, 1: surface, 2: through.outputs[0]}
        ).outputs[0]
    g.node("ShaderNodeOutputMaterial", {"Surface": surface})
    return material


def _bump(g: Graph, at: Socket, colour: Socket, kind: str) -> Socket:
    """Relief: joints from the colour's lightness, grain from noise."""
    if kind == "water":
        height, strength = g.noise(g.vector("MULTIPLY", at, (0.35, 0.9, 1.0)), 1.3, 4.0), 0.16
    elif kind in ("foliage", "plaster"):
        height, strength = g.noise(at, 2.5, 4.0), 0.4 if kind == "foliage" else 0.12
    else:
        grey = g.node("ShaderNodeRGBToBW", {0: colour}).outputs[0]
        height, strength = g.math("ADD", grey, g.math("MULTIPLY", g.noise(at, 3.0), 0.15)), 0.55
    values = {"Height": height, "Strength": strength, "Distance": 0.12}
    return g.node("ShaderNodeBump", values).outputs[0]


def light_up(night: float) -> None:
    """Set every material's "night" value: 0 by day, 1 after dark."""
    for material in bpy.data.materials:
        if material.use_nodes and "night" in material.node_tree.nodes:
            material.node_tree.nodes["night"].outputs[0].default_value = night
