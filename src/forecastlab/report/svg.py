"""A figure as SVG that sits inside an HTML page: text stays text, colours follow its theme, nothing is loaded."""

from __future__ import annotations

import io
import re
from typing import Final
from xml.etree import ElementTree

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

from forecastlab.report.palette import CSS_NAMES

_DROPPED: Final = ("metadata", "style")
_COLOUR = re.compile("|".join(CSS_NAMES))
_FONT = re.compile(r"\s*font-family:[^;]*;?")


def inline_svg(figure: Figure, name: str, title: str, description: str) -> Markup:
    """Return a figure as an ``<svg>`` element for an HTML page.

    Parameters
    ----------
    figure : Figure
        Left as it is.
    name : str
        Prefix of every id inside, unique in the page.
    title, description : str
        Text alternative; escaped here.

    Returns
    -------
    Markup
        The same text for the same figure, on every machine with the same matplotlib.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    root = ElementTree.fromstring(buffer.getvalue())
    for parent in list(root.iter()):
        for child in [c for c in parent if _local(c.tag) in _DROPPED]:
            parent.remove(child)
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = {_local(key): _attribute(_local(key), value, name) for key, value in element.attrib.items()}
        if element.tag != "text" and element.text:
            element.text = " ".join(
                element.text.split()
            )  # the line breaks inside paths' parents weigh, and say nothing
    _describe(root, name, title, description)
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _describe(root: ElementTree.Element, name: str, title: str, description: str) -> None:
    for key in ("width", "height", "version"):  # the page sets the size
        root.attrib.pop(key, None)
    root.attrib |= {"role": "img", "aria-labelledby": f"{name}-title {name}-text", "class": "figure"}
    for position, (tag, suffix, text) in enumerate((("title", "title", title), ("desc", "text", description))):
        element = ElementTree.Element(tag, {"id": f"{name}-{suffix}"})
        element.text = text
        root.insert(position, element)


def _attribute(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key == "href":
        return f"#{name}-{value.removeprefix('#')}"
    if key == "style":
        themed = _COLOUR.sub(lambda found: f"var({CSS_NAMES[found[0]]})", _FONT.sub("", value))
        return themed.strip()
    if key == "d":
        return " ".join(value.split())
    return value.replace("url(#", f"url(#{name}-")


def _local(name: str) -> str:
    return name.rsplit("}", 1)[-1]
