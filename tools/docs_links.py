"""For MkDocs: links from pages to files outside of docs/, which the site does not have.

They work where the repository is browsed. On the site they become the text and the file's name; one
whose file does not exist stays as it is, and the build warns.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

LINK = re.compile(r"\[([^\]]+)\]\((\.\./[^)#]+)(?:#[^)]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Replace the links of a page that lead out of docs/."""
    docs = Path(config["docs_dir"]).resolve()
    here = (docs / page.file.src_uri).parent

    def plain(link: re.Match[str]) -> str:
        target = (here / link[2]).resolve()
        if target.is_relative_to(docs) or not target.exists():
            return link[0]
        name = target.relative_to(docs.parent).as_posix()
        shown = link[1].strip("`")
        return f"`{name}`" if shown == name else f"{link[1]} (`{name}`)"

    return LINK.sub(plain, markdown)
