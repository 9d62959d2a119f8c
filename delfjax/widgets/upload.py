"""A widget that matches two uploaded photos."""

import ipywidgets
from IPython.display import display

from delfjax.features.extract_folder import LocalExtractor
from delfjax.plots.pairs import matches
from delfjax.search.matching import match
from delfjax.widgets.controls import notice, read_upload


def match_uploads(model: LocalExtractor) -> ipywidgets.VBox:
    """Show a widget with two upload buttons. It draws the matches between the two uploaded photos.

    Args:
        model: Model that extracts the features to match; see ``delfjax.load``.

    Example:
        >>> import delfjax as dx
        >>> from delfjax.widgets import match_uploads
        >>> match_uploads(dx.load("delf_att"))
    """
    uploads = [
        ipywidgets.FileUpload(accept="image/*", description=name, layout={"width": "16em"})
        for name in ("first photo", "second photo")
    ]
    output = ipywidgets.Output()

    def show_matches(_: object) -> None:
        if all(upload.value for upload in uploads):
            output.clear_output(wait=True)
            with output:
                try:
                    first, second = (read_upload(upload.value[0]) for upload in uploads)
                    pair = match(model(first), model(second))
                except ValueError as error:  # such as a PhotoError
                    display(ipywidgets.HTML(notice(str(error))))
                else:
                    display(matches(first, second, pair))

    for upload in uploads:
        upload.observe(show_matches, names="value")
    return ipywidgets.VBox([ipywidgets.HBox(uploads), output])
