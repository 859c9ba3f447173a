"""A report as one page of HTML, complete in itself."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import jinja2

from brainfit.report.document import Document


def page(document: Document, pictures: Mapping[str, bytes]) -> str:
    """Write the page.

    Parameters
    ----------
    document
        The content.
    pictures
        Figures as SVG by name; they become part of the page.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("brainfit.report"),
        autoescape=True,  # names come from files
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    encoded = [(display, base64.b64encode(pictures[display.name]).decode()) for display in document.figures]
    return environment.get_template("report.html.jinja").render(document=document, figures=encoded)
