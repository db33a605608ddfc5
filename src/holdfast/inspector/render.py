"""From plain data to HTML: one environment, in which everything that is printed is text."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined

from holdfast.inspector import words
from holdfast.inspector.assets import Assets

_TIMES = frozenset({"since", "until", "as_of", "valid_at"})


def link(memory: str, page: str, **query: Any) -> str:
    """The address of a page, with all of its state; what is None or empty is left out.

    >>> link("ana", "log", scope="team/a&b", speaker=None)
    '/m/ana/log?scope=team%2Fa%26b'
    """
    given = {
        name: words.iso(value) or value if name in _TIMES and float(value).is_integer() else value
        for name, value in query.items()
        if value not in (None, "")
    }
    path = f"/m/{quote(memory, safe='')}/{quote(page, safe='/')}"
    # Half a character has no bytes in UTF-8; a link to it finds nothing, and breaks no page.
    return f"{path}?{urlencode(given, errors='replace')}" if given else path


class Renderer:
    """Renders templates of this package.

    Notes
    -----
    Everything that a template prints is escaped; no template turns that off, and no function here
    returns markup. A name that the data lacks is an error.
    """

    def __init__(self, assets: Assets) -> None:
        self._environment = Environment(
            loader=PackageLoader("holdfast.inspector", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        filters = (
            words.visible, words.when, words.iso, words.count, words.share, words.nbytes,
            words.signed, words.pretty, words.sentence, words.span,
        )  # fmt: skip
        self._environment.filters.update({one.__name__: one for one in filters})
        self._environment.globals.update(asset=assets.name_of)

    def page(self, template: str, data: Mapping[str, Any], **around: Any) -> bytes:
        """The bytes of a page: the data under ``page``, and what is around it."""
        url = partial(link, around.get("memory") or "")
        text = self._environment.get_template(template).render(page=data, url=url, **around)
        return text.encode("utf-8", "replace")
