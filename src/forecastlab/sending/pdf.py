"""The report as PDF: the page that is read on a screen, laid out on A4 by WeasyPrint, which is given no network."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import re
import warnings
from collections.abc import Iterator
from importlib import resources
from types import ModuleType
from typing import Any, Final

from forecastlab.report.palette import CSS_NAMES
from forecastlab.schema import ForecastlabError

MOST_PAGES: Final = 4
# root font sizes in pixels, tried from the first on until the page count fits; below the last, print is not legible
_SIZES: Final = (10.75, 9.6, 8.6)
_COLOURS: Final = {name: colour for colour, name in CSS_NAMES.items()}
_VARIABLE: Final = re.compile(r"var\(\s*(--[\w-]+)\s*\)")
_SVG: Final = re.compile(r"<svg\b.*?</svg>", re.DOTALL)
_SVG_OPENING: Final = re.compile(r"<svg\b")
_NARROW: Final = re.compile(r'<div class="narrow">\s*<svg\b.*?</svg>\s*</div>', re.DOTALL)
_MISSING: Final = (
    "The PDF was not made: {library} is missing, which WeasyPrint needs. Install Debian's packages {debian} "
    "(macOS: brew install {brew}) and run again."
)
_DEBIAN: Final = "libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0"
_BREW: Final = "pango"


class MissingLibrary(ForecastlabError):
    """A library of the system that WeasyPrint needs is not installed; everything but the PDF can be made without it."""


def pdf_of(html: str) -> bytes:
    """Return a page of the report as PDF.

    Parameters
    ----------
    html : str
        As ``report.render`` returns it.

    Returns
    -------
    bytes
        A4 pages, tagged for screen readers; title and language are those of the page, and there is no date of its own
        in it. Text is set smaller where the page would take more than ``MOST_PAGES``, to a size that is still
        legible. The same page gives the same bytes wherever WeasyPrint and the fonts are the same.

    Raises
    ------
    MissingLibrary
        If a library of the system is missing; the message is one line that names the package.
    """
    weasyprint = _weasyprint()
    ready = print_ready(html)
    with _quiet():
        for size in _SIZES:
            document = _laid_out(weasyprint, ready, size)
            if len(document.pages) <= MOST_PAGES:
                break
        identity = hashlib.sha256(html.encode("utf-8")).hexdigest()[:32].encode("ascii")  # else WeasyPrint draws one
        content: bytes = document.write_pdf(pdf_identifier=identity, pdf_tags=True)
    return content


def print_ready(html: str) -> str:
    """Return a page such that WeasyPrint shows it as a browser prints it.

    WeasyPrint resolves variables in the styles of HTML but not inside SVG, where every colour would be black, and takes
    the font of a figure from the figure alone. So colours are written into the figures, and the figures for narrow
    screens are dropped.
    """
    return _SVG.sub(lambda found: _coloured(found[0]), _NARROW.sub("", html))


def _coloured(svg: str) -> str:
    plain = _VARIABLE.sub(lambda found: _COLOURS.get(found[1], found[0]), svg)
    return _SVG_OPENING.sub('<svg font-family="sans-serif"', plain, count=1)


def _laid_out(weasyprint: ModuleType, html: str, size: float) -> Any:
    style = (resources.files(__package__) / "print.css").read_text("utf-8")
    nothing = weasyprint.urls.URLFetcher(allowed_protocols=())  # refuses files and data as well as the network
    page = weasyprint.HTML(string=html, base_url=None, url_fetcher=nothing)
    sheet = weasyprint.CSS(string=f"{style}\n@media print {{ html {{ font-size: {size}px !important; }} }}")
    return page.render(stylesheets=[sheet])


def _weasyprint() -> ModuleType:
    """Import WeasyPrint, here and not above: it loads libraries of the system, which may be missing."""
    try:
        # it prints its own, long advice where it finds no library, and warns of what a later version will need
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            import weasyprint
            import weasyprint.urls
    except OSError as error:
        named = re.search(r"library '([\w.+-]+)'", str(error))
        library = named[1] if named else "a library of the system"
        raise MissingLibrary(_MISSING.format(library=library, debian=_DEBIAN, brew=_BREW)) from None
    return weasyprint  # type: ignore[no-any-return]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what WeasyPrint and fontTools log: properties that only screens know, and tables of fonts."""
    loggers = [logging.getLogger(name) for name in ("weasyprint", "fontTools")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
