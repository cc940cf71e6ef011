"""The documentation is built strictly, into pages that load nothing from outside."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from relume.board.profile import board_names
from relume.cli import VERBS

from tests.shared import ROOT

pytest.importorskip("mkdocs", reason="mkdocs is not installed: make setup")
LOADED = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src"}


def build(config: Path, site: Path) -> str:
    """What the builder said; empty if the build ended well."""
    run = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(config), "-d", str(site)],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    lines = [line for line in run.stderr.splitlines() if not line.startswith("INFO")]
    return "\n".join(lines) if run.returncode else ""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("site")
    assert build(ROOT / "mkdocs.yml", path) == ""
    return path


class Loads(HTMLParser):
    """What a page makes the browser fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        url = dict(attrs).get(LOADED.get(tag, ""))
        if url:
            self.urls.append(url)


def outside(urls: list[str]) -> list[str]:
    return [url for url in urls if re.match(r"(\w+:)?//", url)]


def test_pages_load_nothing_from_outside(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 25
    for page in pages:
        assert not outside(Loads(page.read_text("utf-8")).urls), page
    for style in site.rglob("*.css"):
        urls = re.findall(r"(?:url\(|@import )['\"]?([^)'\"]+)", style.read_text("utf-8"))
        assert not outside(urls), style


def test_a_font_from_elsewhere_would_be_noticed() -> None:
    page = '<link href="https://fonts.example/x.css"><script src="//cdn.example/x.js"></script>'
    assert len(outside(Loads(page).urls)) == 2
    assert not outside(Loads('<img src="../timeline.svg"><a href="https://x.example">x</a>').urls)


def test_what_a_page_loads_is_there(site: Path) -> None:
    for page in site.rglob("*.html"):
        if page.name != "404.html":
            for url in Loads(page.read_text("utf-8")).urls:
                assert (page.parent / url.partition("?")[0].partition("#")[0]).exists(), url


def test_the_reference_has_every_verb_board_and_status(site: Path) -> None:
    def text(name: str) -> str:
        return (site / "reference" / f"{name}.html").read_text("utf-8")

    assert all(f'id="relume-{verb}"' in text("commands") for verb in VERBS)
    assert all(f"<td>{name}</td>" in text("boards") for name in board_names())
    codes = re.findall(r"RL_\w+(?= = -?\d)", (ROOT / "native_modules/relume/status.h").read_text())
    assert len(codes) > 20
    assert all(f"<code>{code}</code>" in text("messages") for code in codes)
    for name in ("Model", "Session", "Queue", "Store", "Results"):
        assert f"relume.{name}" in text("device")


@pytest.mark.parametrize(
    ("target", "said"),
    [("other.md", "other.md"), ("index.md#nowhere", "nowhere"), ("index.md#start", "")],
)
def test_a_link_that_leads_nowhere_fails_the_build(
    target: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text(f"# Start\n\n[there]({target})\n")
    config = tmp_path / "mkdocs.yml"
    config.write_text(
        f"INHERIT: {ROOT / 'mkdocs.yml'}\ndocs_dir: docs\nhooks: []\nextra_css: []\n"
        "nav: [index.md]\n"
    )
    heard = build(config, tmp_path / "site")
    assert said in heard and bool(said) == bool(heard)
