"""The stage: numpy shapes become Blender objects, and a view sets sky, lamps and camera."""

import bpy
import numpy as np
from mathutils import Matrix, Vector

from render import materials
from render.finishes import Finish
from render.geometry import Shape
from render.nodes import Graph, Socket
from render.views import View

HAZE_GAIN = 1.5  # the blue sky as seen over its light: a camera's curve is kinder to it
SKY_MAP = 256  # rows of the sky's importance map: Blender's own choice costs seconds a photo
LANDMARK_INDEX = 1  # Blender's object index of the landmark; everything else has 0


def clear() -> None:
    """Empty Blender: no objects, meshes or materials from an earlier landmark."""
    bpy.ops.wm.read_factory_settings(use_empty=True)


def mesh_of(name: str, shape: Shape, finishes: dict[str, Finish]) -> bpy.types.Mesh:
    """Make a mesh with one material slot a role."""
    mesh = bpy.data.meshes.new(name)
    starts = np.concatenate([[0], np.cumsum(shape.sizes)[:-1]]).astype(np.int32)
    mesh.vertices.add(len(shape.vertices))
    mesh.vertices.foreach_set("co", shape.vertices.astype(np.float32).ravel())
    mesh.loops.add(len(shape.corners))
    mesh.loops.foreach_set("vertex_index", shape.corners.astype(np.int32))
    mesh.polygons.add(len(shape.sizes))
    mesh.polygons.foreach_set("loop_start", starts)
    mesh.polygons.foreach_set("loop_total", shape.sizes.astype(np.int32))
    names, slots = np.unique(shape.roles, return_inverse=True)
    mesh.polygons.foreach_set("use_smooth", shape.smooth)
    for role in names:
        mesh.materials.append(material_of(finishes[str(role)]))
    mesh.polygons.foreach_set("material_index", slots.astype(np.int32))
    mesh.update(calc_edges=True)
    mesh.validate()
    return mesh


def material_of(finish: Finish) -> bpy.types.Material:
    """Return the material of a finish, made once."""
    name = f"{finish.kind} {finish.colour} {finish.second} {finish.scale} {finish.weather}"
    return bpy.data.materials.get(name) or materials.build(name, finish)


def put(
    mesh: bpy.types.Mesh,
    *,
    at: tuple[float, float, float] = (0.0, 0.0, 0.0),
    turn: float = 0.0,
    scale: float = 1.0,
    index: int = 0,
) -> bpy.types.Object:
    """Place an object that shares a mesh."""
    thing = bpy.data.objects.new(mesh.name, mesh)
    thing.location, thing.rotation_euler, thing.scale = at, (0, 0, turn), (scale,) * 3
    thing.pass_index = index
    bpy.context.scene.collection.objects.link(thing)
    return thing


def lamp(
    at: tuple[float, float, float], power: float, *, colour: tuple[float, float, float]
) -> bpy.types.Object:
    """Place a lamp that shines after dark only."""
    light = bpy.data.lights.new("night lamp", "POINT")
    light.energy, light.color, light.shadow_soft_size = power, colour, 0.4
    thing = bpy.data.objects.new("night lamp", light)
    thing.location = at
    bpy.context.scene.collection.objects.link(thing)
    return thing


def flood(
    at: tuple[float, float, float], target: tuple[float, float, float], power: float
) -> bpy.types.Object:
    """Place a warm floodlight that shines on a point after dark only."""
    light = bpy.data.lights.new("night flood", "SPOT")
    light.energy, light.color, light.shadow_soft_size = power * 3.0, (1.0, 0.8, 0.55), 0.8
    light.spot_size, light.spot_blend = 1.7, 0.8
    thing = bpy.data.objects.new("night flood", light)
    thing.location = at
    way = Vector(target) - Vector(at)
    thing.rotation_euler = way.to_track_quat("-Z", "Y").to_euler()
    bpy.context.scene.collection.objects.link(thing)
    return thing


def _clouds(g: Graph, view: View) -> tuple[Socket, Socket, Socket]:
    """Return (height of the direction, density, cover) of a layer of clouds."""
    x, y, z = g.split(g.node("ShaderNodeTexCoord", {}).outputs["Generated"])
    up = g.math("ADD", g.math("MAXIMUM", z, 0.0), 0.12)
    aloft = g.join(g.math("DIVIDE", x, up), g.math("DIVIDE", y, up), view.sky_seed)
    puffs = g.noise(aloft, 0.9, 7.0)
    return z, puffs, g.step(puffs, 0.66 - 0.34 * view.clouds, 0.78 - 0.2 * view.clouds)


def _night_sky(g: Graph, view: View) -> tuple[Socket, Socket]:
    """Return the sky as seen and as felt after dark: a glow over the town, faint clouds."""
    z, _, cover = _clouds(g, view)
    glow = np.array([0.10, 0.10, 0.16]) * (0.4 + view.dusk)
    dark = g.mix(g.step(z, 0.45, -0.05), np.array([0.010, 0.018, 0.050]) * (0.5 + view.dusk), glow)
    return g.mix(g.math("MULTIPLY", cover, 0.5), dark, (0.035, 0.032, 0.04)), dark


def _day_sky(g: Graph, view: View) -> tuple[Socket, Socket]:
    """Return the sky as seen, with clouds, and as felt: the same light, cheaper to sample."""
    _, puffs, cover = _clouds(g, view)
    blue = g.node(
        "ShaderNodeTexSky",
        {},
        sky_type="NISHITA",
        sun_elevation=view.sun_elevation,
        sun_rotation=np.pi / 2 - view.sun_azimuth,
        sun_intensity=0.55 * (1 - view.clouds) ** 1.5,
        sun_size=0.02 + 0.1 * view.clouds,
        dust_density=0.4 + 1.4 * view.haze,
        altitude=60.0,
    ).outputs[0]
    day = 3.0 + 9.0 * np.sin(view.sun_elevation)
    lit, dull = np.array([0.95, 0.98, 1.05]) * day, np.array([0.6, 0.63, 0.7]) * day
    shade = g.mix(g.step(puffs, 0.35, 0.85), lit, dull)
    bright = g.mix(1.0, blue, (HAZE_GAIN,) * 3, "MULTIPLY")
    seen = g.mix(g.math("MULTIPLY", cover, 0.96), bright, shade)
    return seen, g.mix(0.9 * view.clouds, blue, (lit + dull) / 2)


def sky(view: View) -> None:
    """Set the world: the Nishita sky with clouds, an overcast dome, or night.

    Only the camera and reflections see the clouds' noise; other light takes their mean.
    """
    world = bpy.context.scene.world or bpy.data.worlds.new("world")
    bpy.context.scene.world = world
    world.use_nodes = True
    world.node_tree.nodes.clear()
    world.cycles.sampling_method, world.cycles.sample_map_resolution = "MANUAL", SKY_MAP
    g = Graph(world.node_tree)
    cloudy, plain = (_night_sky if view.night else _day_sky)(g, view)
    seen = g.node("ShaderNodeBackground", {"Color": cloudy}).outputs[0]
    felt = g.node("ShaderNodeBackground", {"Color": plain}).outputs[0]
    rays = g.node("ShaderNodeLightPath", {}).outputs
    direct = g.math("MAXIMUM", rays["Is Camera Ray"], rays["Is Glossy Ray"])
    sky_light = g.node("ShaderNodeMixShader", {0: direct, 1: felt, 2: seen})
    g.node("ShaderNodeOutputWorld", {"Surface": sky_light.outputs[0]})
    materials.light_up(1.0 if view.night else 0.0)
    for thing in bpy.context.scene.objects:
        if thing.type == "LIGHT":
            thing.hide_render = not view.night


def aim(view: View, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Set the camera; return the intrinsics `(3, 3)` in pixels and world-to-camera `(3, 4)`.

    The camera frame is the computer-vision one: x right, y down, z ahead.
    """
    scene = bpy.context.scene
    if scene.camera is None:
        scene.camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
        scene.collection.objects.link(scene.camera)
    camera = scene.camera.data
    camera.sensor_fit, camera.sensor_width = "HORIZONTAL", 36.0
    if height > width:
        camera.sensor_fit, camera.sensor_height = "VERTICAL", 36.0
    camera.lens, camera.clip_start, camera.clip_end = view.focal, 0.1, 20_000.0
    rotation = view.rotation()
    pose = np.eye(4)
    pose[:3, :3] = rotation.T @ np.diag([1.0, -1.0, -1.0])
    pose[:3, 3] = view.eye
    scene.camera.matrix_world = Matrix(pose.tolist())
    focal = view.focal / 36.0 * max(width, height)
    intrinsics = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])
    return intrinsics, np.column_stack([rotation, -rotation @ np.array(view.eye)])
