"""Writes relume for CircuitPython as circup takes it: a bundle of the packages' sources.

A bundle is a ZIP of one folder with lib/PACKAGE, requirements/PACKAGE/requirements.txt and
examples/; circup reads each package's __version__.

Usage: bundle.py FOLDER
"""

import json
import os
import sys
import time
import zipfile
from pathlib import Path

FIRMWARE = Path(__file__).resolve().parents[1]
NEEDS = {"relume": "relume_pure\n", "relume_pure": ""}


def contents() -> dict[str, str]:
    """Path in the bundle -> text."""
    listed = json.loads((FIRMWARE / "package_pure.json").read_text("utf-8"))
    files = {}
    for target, source in listed["urls"]:
        text = (FIRMWARE / source).read_text("utf-8")
        if target.endswith("/__init__.py"):
            text += f'\n__version__ = "{listed["version"]}"\n'
        files[f"lib/{target}"] = text
    for package, needs in NEEDS.items():
        files[f"requirements/{package}/requirements.txt"] = needs
    example = FIRMWARE / "examples" / "circuitpython" / "code.py"
    files["examples/relume_inference.py"] = example.read_text("utf-8")
    return files


def main() -> None:
    """Prints the path of the ZIP."""
    folder = Path(sys.argv[1])
    made = time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time())))
    name = time.strftime("relume-circuitpython-bundle-py-%Y%m%d", made)
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as bundle:
        for path, text in sorted(contents().items()):
            bundle.writestr(zipfile.ZipInfo(f"{name}/{path}", made[:6]), text)
    print(folder / f"{name}.zip")


if __name__ == "__main__":
    main()
