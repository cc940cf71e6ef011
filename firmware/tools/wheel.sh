#!/bin/sh
# wheel.sh PYTHON: build/dist/relume-*.whl, with the Python part, its bytecode and the native
# modules in relume/device, where deploy looks for them.
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
rm -f build/dist/relume-*.whl
"$python" -m pip wheel -q --no-deps --no-build-isolation --no-index -w build/dist "$stage"
ls "$root"/build/dist/relume-*.whl
