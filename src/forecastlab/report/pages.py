"""What the pages of the report share: template, styles and sentences, and figures for wide and narrow screens."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources

import jinja2
from markupsafe import Markup
from matplotlib.figure import Figure

from forecastlab.report.reviewlist import more
from forecastlab.report.svg import inline_svg
from forecastlab.report.wording import Wording

Pictures = tuple[tuple[str, Markup], ...]


def page(name: str, wording: Wording) -> jinja2.Template:
    """Return a template of a page, with the sentences, the language and the styles of the report in it."""
    # an isolated environment a page: autoescape for everything, and a name that is missing stops the page
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("forecastlab.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (resources.files("forecastlab.report") / "templates" / "style.css").read_text("utf-8")
    environment.globals.update(
        _=wording.say, style=Markup(style), language=wording.language, more=lambda n: more(n, wording)
    )
    return environment.get_template(name)


def pictures(draw: Callable[[bool], Figure], name: str, title: str, description: str) -> Pictures:
    """Return a figure twice, for a wide and for a narrow screen; the page shows one of them.

    Parameters
    ----------
    draw : callable
        Returns the figure; its argument is True for the narrow one.
    name : str
        Prefix of the ids inside, unique in the page.
    title, description : str
        Text alternative.
    """
    return (
        ("wide", inline_svg(draw(False), name, title, description)),
        ("narrow", inline_svg(draw(True), f"{name}-narrow", title, description)),
    )
