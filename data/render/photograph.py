"""Take a photograph: Cycles renders radiance, and a model of a pocket camera develops it."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bpy
import numpy as np
from PIL import Image, ImageFilter

from render import stage
from render.views import View

SKY = 2_000.0  # metres: the depth that fog takes the sky to have
GREY = 0.175  # where the meter puts the mean of the scene's log luminance
LUMA = np.array([0.2126, 0.7152, 0.0722])


def prepare(*, samples: int, seed: int) -> None:
    """Set up Cycles on the CPU, with denoising and passes for depth and object index."""
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    cycles = scene.cycles
    cycles.device, cycles.samples, cycles.seed = "CPU", samples, seed % 2**31
    cycles.use_denoising, cycles.denoiser = True, "OPENIMAGEDENOISE"
    cycles.denoising_prefilter, cycles.denoising_quality = "FAST", "BALANCED"
    cycles.use_adaptive_sampling = True
    cycles.adaptive_threshold, cycles.adaptive_min_samples = 0.03, max(4, samples // 3)
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 3, 2, 2
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.sample_clamp_indirect = 8.0
    scene.render.use_persistent_data = True
    layer = scene.view_layers[0]
    layer.use_pass_z = layer.use_pass_object_index = True


def _outputs(folder: str) -> None:
    """Let the compositor write radiance, and depth with index, as two EXR files."""
    scene = bpy.context.scene
    scene.use_nodes = True
    tree = scene.node_tree
    tree.nodes.clear()
    layers = tree.nodes.new("CompositorNodeRLayers")
    data = tree.nodes.new("CompositorNodeCombineColor")
    tree.links.new(layers.outputs["IndexOB"], data.inputs[0])
    tree.links.new(layers.outputs["Depth"], data.inputs[1])
    out = tree.nodes.new("CompositorNodeOutputFile")
    out.base_path = folder
    out.format.file_format, out.format.color_depth = "OPEN_EXR", "32"
    out.file_slots.clear()
    out.file_slots.new("rgb")
    out.file_slots.new("data")
    tree.links.new(layers.outputs["Image"], out.inputs[0])
    tree.links.new(data.outputs[0], out.inputs[1])


@contextmanager
def _silence() -> Iterator[None]:
    """Keep Blender's own report of every step off the standard output."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def _load(path: Path) -> np.ndarray:
    """Read an EXR file as `(height, width, 3)`, top row first."""
    image = bpy.data.images.load(str(path))
    image.colorspace_settings.name = "Non-Color"
    width, height = image.size
    pixels = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    return pixels.reshape(height, width, 4)[::-1, :, :3].copy()


def expose(
    view: View, width: int, height: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Render a view of the scene as it stands.

    Args:
        view: The view.
        width: Width of the picture in pixels.
        height: Height of the picture in pixels.

    Returns:
        Radiance `(height, width, 3)`, depth in metres `(height, width)`, the mask of the landmark's
        visible pixels `(height, width)`, and (intrinsics, pose) as of `stage.aim`.
    """
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = width, height
    scene.render.resolution_percentage = 100
    stage.sky(view)
    camera = stage.aim(view, width, height)
    with tempfile.TemporaryDirectory() as folder:
        _outputs(folder)
        with _silence():
            bpy.ops.render.render()
        radiance = _load(next(Path(folder).glob("rgb*.exr")))
        data = _load(next(Path(folder).glob("data*.exr")))
    mask = np.abs(data[..., 0] - stage.LANDMARK_INDEX) < 0.5
    return radiance, data[..., 1], mask, camera


def develop(radiance: np.ndarray, depth: np.ndarray, view: View) -> Image.Image:
    """Turn radiance into a picture: fog, exposure, colour, vignette, tone, blur and noise."""
    rng = np.random.default_rng(view.seed)
    light = _fogged(np.nan_to_num(radiance, posinf=1e4), depth, view)
    light = _metered(light, depth, view)
    light = light * np.exp(view.warmth * np.array([1.0, 0.0, -1.0]))
    height, width = depth.shape
    rows, columns = np.mgrid[0:height, 0:width]
    radius = np.hypot(rows / height - 0.5, columns / width - 0.5) / np.hypot(0.5, 0.5)
    light = light * (1 - view.vignette * radius**2)[..., None]
    tone = _filmic(np.maximum(light, 0))
    grey = (tone @ LUMA)[..., None]
    tone = np.clip(grey + (tone - grey) * view.saturation, 0, 1)
    grain = view.noise * (2.0 if view.night else 1.0)
    picture = Image.fromarray((tone * 255).astype(np.uint8))
    picture = picture.filter(ImageFilter.GaussianBlur(view.blur * max(width, height) / 480))
    noisy = np.asarray(picture, float) + rng.normal(0, 255 * grain, (height, width, 3))
    return Image.fromarray(np.clip(noisy + 0.5, 0, 255).astype(np.uint8))


def _fogged(light: np.ndarray, depth: np.ndarray, view: View) -> np.ndarray:
    """Fade into the air's own light with depth: L t + A (1 - t), t = exp(-fog depth)."""
    clear = np.exp(-view.fog * np.minimum(depth, SKY))[..., None]
    sky = depth > 10_000
    air = light[sky].mean(0) if sky.mean() > 0.02 else light.reshape(-1, 3).mean(0) * 1.4
    air = 0.5 * air + 0.5 * (air @ LUMA)
    return light * clear + air * (1 - clear)


def _metered(light: np.ndarray, depth: np.ndarray, view: View) -> np.ndarray:
    """Expose as a meter does, with the view's error; the sky counts little, night stays dark."""
    luma = np.maximum(light @ LUMA, 1e-5)
    weight = np.where(depth > 10_000, 0.35, 1.0)
    mean = np.exp((np.log(luma) * weight).sum() / weight.sum())
    grey = GREY * (0.42 if view.night else 1.0)
    ceiling = (1.3 if view.night else 2.2) / np.quantile(luma, 0.98)
    return light * min(grey / mean, max(ceiling, 0.35 * grey / mean)) * 2.0**view.exposure


def _filmic(x: np.ndarray) -> np.ndarray:
    """Compress [0, inf) to sRGB [0, 1]: Narkowicz's fit of the ACES curve, half of it on luma.

    Per channel the curve makes warm stone garish; on luma alone highlights never whiten.
    """
    luma = np.maximum((x @ LUMA)[..., None], 1e-6)
    y = 0.5 * _aces(x) + 0.5 * np.minimum(x / luma * _aces(luma), 1.0)
    return np.where(y <= 0.0031308, 12.92 * y, 1.055 * y ** (1 / 2.4) - 0.055)


def _aces(x: np.ndarray) -> np.ndarray:
    """Narkowicz's rational fit of the ACES tone curve."""
    return np.clip(x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14), 0, 1)
