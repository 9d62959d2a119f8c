"""Settings of ``jupyter nbconvert --to slides``: every section of a notebook begins a slide.

Without these settings, a notebook is one long slide, because its cells have no slide types.
"""

from nbconvert.preprocessors import Preprocessor


class SectionSlides(Preprocessor):
    """Begin a slide at each heading, and show each figure on a slide below its section."""

    def preprocess_cell(self, cell, resources, index):
        if cell.cell_type == "markdown" and cell.source.startswith(("# ", "## ")):
            kind = "slide"
        elif any(
            "image/" in kind
            for output in cell.get("outputs", [])
            for kind in output.get("data", {})
        ):
            kind = "subslide"
        else:
            kind = "-"
        cell.metadata["slideshow"] = {"slide_type": kind}
        return cell, resources


def configure(config):
    config.SlidesExporter.preprocessors = [SectionSlides]
    config.SlidesExporter.exclude_input_prompt = True
    config.SlidesExporter.exclude_output_prompt = True
    config.SlidesExporter.reveal_scroll = True


configure(get_config())  # noqa: F821, defined by nbconvert
