#!/bin/sh
# wheel.sh PYTHON: build/dist/relume-*.whl and .tar.gz, with the Python part, its bytecode, the native
# modules and the firmware that are built in relume/device, where deploy, flash and emulate look for them.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
python=$root/$1
stage=$root/build/wheel
device=$stage/host/relume/device
rm -rf "$stage"
mkdir -p "$stage" "$root/build/dist"
cd "$root"
cp -r pyproject.toml README.md LICENSE host boards "$stage"
find "$stage" -name __pycache__ -prune -exec rm -r {} +
mkdir "$device"
cp -r firmware/package_pure.json firmware/relume firmware/relume_pure "$device"
find "$device" -name __pycache__ -prune -exec rm -r {} +
for module in build/natmod/*/_relume_native.mpy; do
    arch=$(basename "$(dirname "$module")")
    mkdir -p "$device/natmod/$arch"
    cp "$module" "$device/natmod/$arch"
done
cp -r build/natmod/bytecode "$device/natmod"
mkdir "$device/firmware"
for board in boards/*/board.toml; do
    name=$(basename "$(dirname "$board")")
    image=build/firmware/$name/firmware.uf2
    test ! -f "$image" || cp "$image" "$device/firmware/$name.uf2"
done
rm -f build/dist/relume-*
(cd "$stage" && "$python" -c 'import sys
from setuptools import build_meta
build_meta.build_sdist(sys.argv[1])' "$root/build/dist" >/dev/null)
"$python" -m pip wheel -q --no-deps --no-build-isolation --no-index -w build/dist "$stage"
ls "$root"/build/dist/relume-*.whl
