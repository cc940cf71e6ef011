"""Writes package.json beside a native module: the module and the Python part's bytecode, for
`mpremote mip install build/natmod/armv6m_6.3/package.json`.

Usage: mip.py package_pure.json build/natmod/armv6m_6.3
"""

import json
import sys
from pathlib import Path


def package(pure: Path) -> dict[str, object]:
    """What mip reads; paths count from the folder of package.json."""
    listed = json.loads(pure.read_text("utf-8"))
    names = [target.removesuffix(".py") + ".mpy" for target, _ in listed["urls"]]
    urls = [[name, f"../bytecode/{name}"] for name in names]
    module = ["_relume_native.mpy", "_relume_native.mpy"]
    return {"urls": [*urls, module], "version": listed["version"]}


if __name__ == "__main__":
    text = json.dumps(package(Path(sys.argv[1])), indent=4)
    (Path(sys.argv[2]) / "package.json").write_text(text + "\n", "utf-8")
