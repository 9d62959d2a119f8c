"""Widgets, driven as a visitor drives them, but for the browser."""

import io

import worlds
from ipywidgets import FileUpload, HBox, Output
from PIL import Image
from uploads import upload

from delfjax.images import samples
from delfjax.widgets import upload as module


def jpeg(photo):
    stream = io.BytesIO()
    Image.fromarray(photo).resize((96, 64)).save(stream, "JPEG")
    return stream.getvalue()


def parts(box):
    buttons, output = box.children
    assert isinstance(buttons, HBox)
    assert isinstance(output, Output)
    assert all(isinstance(button, FileUpload) for button in buttons.children)
    return *buttons.children, output


def test_two_uploads_are_matched(monkeypatch):
    shown = []
    monkeypatch.setattr(module, "display", shown.append)
    first, second, _ = parts(module.match_two(worlds.extractor()))
    upload(first, "one.jpg", jpeg(samples.temple()))
    assert shown == []  # one photo is no pair
    upload(second, "two.jpg", jpeg(samples.temple()))
    assert len(shown) == 1
    assert "inliers" in shown[0].axes[0].get_title(loc="left")


def test_a_wrong_file_is_explained(monkeypatch):
    shown = []
    monkeypatch.setattr(module, "display", shown.append)
    first, second, _ = parts(module.match_two(worlds.extractor()))
    upload(first, "one.jpg", jpeg(samples.temple()))
    upload(second, "notes.txt", b"<b>not a photo</b>")
    assert "notes.txt" in shown[0].value
    assert "not an image" in shown[0].value
