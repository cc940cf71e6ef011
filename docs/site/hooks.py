"""What the site has beside the files of docs/: generated pages, examples, colours of code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import reference  # beside this file, where mkdocs looks
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from pygments.formatters import HtmlFormatter

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = "firmware/examples"
LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")



def on_files(files: Files, config: Any) -> Files:
    """Adds the reference's generated pages, the examples, and the style of code."""
    for page, text in reference.pages().items():
        files.append(File.generated(config, page, content=text))
    labs = []
    for path in sorted((ROOT / EXAMPLES).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            name = f"examples/{path.relative_to(ROOT / EXAMPLES)}"
            files.append(File.generated(config, name, abs_src_path=str(path)))
            if path.suffix == ".md":
                labs.append((name.count("/"), path.read_text("utf-8").partition("\n")[0], name))
    config.nav.insert(-2, {"Labs": [name for _, _, name in sorted(labs)]})  # by their titles
    colours = HtmlFormatter(style="default").get_style_defs(".codehilite")
    files.append(File.generated(config, "site/code.css", content=colours))
    config.extra_css.append("site/code.css")
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Links to files of the project that lie outside docs/ lead to their pages here."""
    source = page.file.src_uri
    if source.startswith("examples/"):
        folder = (ROOT / EXAMPLES / source.removeprefix("examples/")).parent
    else:
        folder = (ROOT / "docs" / source).parent
    up = "../" * source.count("/")
    return LINK.sub(lambda link: link[1] + _target(link[2], folder, up) + link[3], markdown)


def _target(url: str, folder: Path, up: str) -> str:
    """A link as it is on this site. Errors: PluginError for a file that the site has not."""
    if ":" in url:
        return url
    path = (folder / url).resolve()
    for base, place in ((ROOT / "docs", ""), (ROOT / EXAMPLES, "examples/")):
        if path.is_relative_to(base):
            return f"{up}{place}{path.relative_to(base)}"
    raise PluginError(f"{url}: not on the site, name the file instead of linking to it")
