"""The pages as they are published: links, and what the site does with those that leave docs/."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from small_runs import ROOT

PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("plugins/*/README.md"),
        *ROOT.glob("examples/**/*.md"),
    ]
)
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


def without_code(text: str) -> str:
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`]*`", "", text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    for target in LINK.findall(without_code(page.read_text(encoding="utf-8"))):
        assert (page.parent / target).exists(), target


@pytest.fixture(scope="module")
def rewrite():
    path = ROOT / "tools" / "docs_links.py"
    spec = importlib.util.spec_from_file_location("docs_links", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def call(text: str) -> str:
        page = SimpleNamespace(file=SimpleNamespace(src_uri="how-to/page.md"))
        return module.on_page_markdown(text, page=page, config={"docs_dir": str(ROOT / "docs")})

    return call


@pytest.mark.parametrize(
    ("link", "shown"),
    [
        ("[files](../../CONTRIBUTING.md)", "files (`CONTRIBUTING.md`)"),
        ("[`examples`](../../examples)", "`examples`"),
        ("[method](../explanation/method.md)", "[method](../explanation/method.md)"),
        ("[gone](../../nowhere.md)", "[gone](../../nowhere.md)"),
    ],
)
def test_links_out_of_the_docs_become_names(rewrite, link, shown):
    assert rewrite(f"See {link}.") == f"See {shown}."
