#!/bin/sh
# newer_nix.sh DIRECTORY [RELEASE]: Nix of a newer Debian release in DIRECTORY/bin, without touching this system.
# Its packages come from the mirror that apt is configured for here, into an apt state of their own.
set -eu
folder=$1
release=${2:-trixie}
mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' | awk '$2 ~ /^(bookworm|trixie|forky)$/ { print $1; exit }')
mkdir -p "$folder/lists/partial" "$folder/archives/partial" "$folder/root" "$folder/bin"
: >"$folder/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release main" >"$folder/sources.list"
apt() {
  apt-get -q -o Dir::Etc::sourcelist="$folder/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::State="$folder" \
    -o Dir::State::lists="$folder/lists" -o Dir::State::status="$folder/status" -o Dir::Cache::archives="$folder/archives" \
    -o Dir::Cache::pkgcache="" -o Dir::Cache::srcpkgcache="" -o APT::Sandbox::User=root "$@" >&2
}
apt update
apt install --download-only -y --no-install-recommends nix-bin
for package in "$folder"/archives/*.deb; do dpkg -x "$package" "$folder/root"; done
libraries=$(dirname "$(find "$folder/root/usr/lib" -name 'libc.so.6' | head -1)")
patchelf --set-interpreter "$libraries"/ld-linux-*.so.* --force-rpath --set-rpath "$libraries" "$folder/root/usr/bin/nix"
for name in nix nix-build nix-store nix-instantiate; do ln -sf "$folder/root/usr/bin/nix" "$folder/bin/$name"; done
"$folder/bin/nix" --version >&2
