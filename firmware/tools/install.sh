#!/bin/sh
# Installs the cross compiler, cmake and ninja where apt can, else says what
# is missing. install.sh PROGRAM:PACKAGE...: these instead.
set -eu

test $# -gt 0 || set -- arm-none-eabi-gcc:gcc-arm-none-eabi cmake:cmake \
    ninja:ninja-build
missing=
for pair in "$@"
do
    command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair##*:}"
done
# The compiler without its C library cannot build.
case "$*" in *arm-none-eabi-gcc*)
    echo '#include <stdlib.h>' | arm-none-eabi-gcc -E - >/dev/null 2>&1 ||
        missing="$missing libnewlib-arm-none-eabi" ;;
esac
case "$*" in *riscv64-unknown-elf-gcc*)
    echo '#include <stdlib.h>' | riscv64-unknown-elf-gcc --specs=picolibc.specs \
        -E - >/dev/null 2>&1 ||
        missing="$missing picolibc-riscv64-unknown-elf" ;;
esac
test -n "$missing" || exit 0

if ! command -v apt-get >/dev/null || test "$(id -u)" != 0; then
    echo "firmware: please install:$missing" >&2
    echo "firmware: on Debian: sudo apt-get install$missing" >&2
    exit 1
fi
echo "firmware: installing$missing"
apt-get -qq update
# shellcheck disable=SC2086 # a list of packages
DEBIAN_FRONTEND=noninteractive apt-get -qq install -y \
    --no-install-recommends $missing >/dev/null
