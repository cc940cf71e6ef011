#!/bin/sh
# Fetches MicroPython and what its rp2 port needs as Debian source packages,
# from the mirror that this machine's own apt sources name. Nothing on the
# system is installed or upgraded: apt runs on private lists and a private
# cache. Usage: fetch.sh DIRECTORY
set -eu

SUITE=trixie
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

fail() {
    echo "firmware: $1" >&2
    echo "firmware: to use a MicroPython checkout of your own (1.25 or newer," \
         "with its submodules): make MICROPYTHON_DIR=/path/to/micropython" >&2
    exit 1
}

# The URI of the first binary entry that serves this machine's own release,
# from deb822 files (*.sources) or one-line lists. $1: release code name
mirror() {
    {
        cat /etc/apt/sources.list.d/*.sources 2>/dev/null | awk -v want="$1" '
            BEGIN { RS = ""; FS = "\n" }
            {
                uri = ""; suites = " "
                for (i = 1; i <= NF; i++) {
                    if ($i ~ /^URIs:/) { split($i, part, " "); uri = part[2] }
                    if ($i ~ /^Suites:/) suites = substr($i, 8) " "
                }
                if (uri != "" && index(suites, " " want " ")) print uri
            }'
        cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
        sed 's/\[[^]]*\]//' |
        awk -v want="$1" '$1 == "deb" && $3 == want { print $2 }'
    } | head -n 1
}

test $# -eq 1 || { echo "usage: fetch.sh DIRECTORY" >&2; exit 2; }
mkdir -p "$1"
DIR=$(cd "$1" && pwd)
test ! -e "$DIR/.fetched" || exit 0

command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
    fail "no apt here to fetch MicroPython's source with"
. /etc/os-release
test "${ID:-}" = debian || fail "this is ${ID:-unknown}, not Debian"
URI=$(mirror "${VERSION_CODENAME:-}")
test -n "$URI" || fail "apt's sources name no mirror of ${VERSION_CODENAME:-it}"
test -r "$KEYRING" || fail "$KEYRING is missing (package debian-archive-keyring)"

APT=$DIR/apt
mkdir -p "$APT/lists/partial" "$APT/cache/archives/partial"
cat >"$APT/private.sources" <<END
Types: deb deb-src
URIs: $URI
Suites: $SUITE
Components: main
Signed-By: $KEYRING
END

apt_private() {
    apt-get -qq -o Dir::Etc::sourcelist="$APT/private.sources" \
        -o Dir::Etc::sourceparts=/dev/null -o Dir::State::Lists="$APT/lists" \
        -o Dir::Cache="$APT/cache" -o APT::Sandbox::User= \
        -o Debug::NoLocking=1 -o Acquire::Languages=none "$@"
}

# Unpacks the upstream tarball of a Debian source package as DIR/$1.
unpack() {
    rm -rf "$DIR/$1" "$DIR/$1.part"
    mkdir "$DIR/$1.part"
    tar -xf "$APT"/packages/"$1"_*.orig.tar.* -C "$DIR/$1.part" \
        --strip-components=1
    mv "$DIR/$1.part" "$DIR/$1"
}

echo "firmware: fetching MicroPython, mbedtls, pico-sdk and tinyusb ($SUITE)"
rm -rf "$APT/packages"
mkdir "$APT/packages"
cd "$APT/packages"
apt_private update
apt_private source --download-only micropython mbedtls
apt_private download pico-sdk-source tinyusb-source
unpack micropython
unpack mbedtls
rm -rf "$DIR/sdk"
for package in *.deb; do
    dpkg-deb -x "$package" "$DIR/sdk"
done
for name in pico-sdk tinyusb; do
    rm -rf "$DIR/micropython/lib/$name"
    ln -s "../../sdk/usr/src/$name" "$DIR/micropython/lib/$name"
done
rm -rf "$DIR/micropython/lib/mbedtls"
ln -s ../../mbedtls "$DIR/micropython/lib/mbedtls"
rm -rf "$APT/lists" "$APT/cache" "$APT/packages"
touch "$DIR/.fetched"
