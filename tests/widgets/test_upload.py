"""Tests of the widget that matches two uploaded photos."""

import io

import worlds
from ipywidgets import FileUpload, HBox, Output
from PIL import Image
from sklearn.datasets import load_sample_image
from uploads import upload

from delfjax.widgets import match_uploads
from delfjax.widgets import upload as upload_module


def jpeg(photo):
    stream = io.BytesIO()
    Image.fromarray(photo).resize((96, 64)).save(stream, "JPEG")
    return stream.getvalue()


def buttons(box):
    row, output = box.children
    assert isinstance(row, HBox)
    assert isinstance(output, Output)
    assert all(isinstance(button, FileUpload) for button in row.children)
    return row.children


def test_two_uploads_are_matched(monkeypatch):
    displayed = []
    monkeypatch.setattr(upload_module, "display", displayed.append)
    first, second = buttons(match_uploads(worlds.extractor()))
    upload(first, "one.jpg", jpeg(load_sample_image("china.jpg")))
    assert displayed == []  # one photo is not enough
    upload(second, "two.jpg", jpeg(load_sample_image("china.jpg")))
    assert len(displayed) == 1
    assert "inliers" in displayed[0].axes[0].get_title(loc="left")


def test_unreadable_file_shows_a_message(monkeypatch):
    displayed = []
    monkeypatch.setattr(upload_module, "display", displayed.append)
    first, second = buttons(match_uploads(worlds.extractor()))
    upload(first, "one.jpg", jpeg(load_sample_image("china.jpg")))
    upload(second, "notes.txt", b"<b>not a photo</b>")
    assert "notes.txt" in displayed[0].value
    assert "not an image" in displayed[0].value
