#!/bin/sh
# chromium.sh DIRECTORY: Debian's headless Chromium as DIRECTORY/chromium, without touching this system.
# Its packages come from the mirror that apt is configured for here, into an apt state of their own.
set -eu
folder=$1
. /etc/os-release
mkdir -p "$folder/lists/partial" "$folder/archives/partial" "$folder/root"
: >"$folder/status"
apt-get indextargets --format '$(REPO_URI) $(RELEASE)' |
  awk -v release="$VERSION_CODENAME" 'index($2, release) == 1 && !seen[$0]++ { print "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]", $1, $2, "main" }' >"$folder/sources.list"
apt() {
  apt-get -q -o Dir::Etc::sourcelist="$folder/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::State="$folder" \
    -o Dir::State::lists="$folder/lists" -o Dir::State::status="$folder/status" -o Dir::Cache::archives="$folder/archives" \
    -o Dir::Cache::pkgcache="" -o Dir::Cache::srcpkgcache="" -o APT::Sandbox::User=root "$@" >&2
}
apt update
apt install --download-only -y --no-install-recommends chromium-headless-shell fonts-dejavu-core
for package in "$folder"/archives/*.deb; do dpkg -x "$package" "$folder/root"; done
libraries=$(find "$folder/root/lib" "$folder/root/usr/lib" -name '*.so*' -exec dirname {} \; | sort -u | tr '\n' ':')
program=$(find "$folder/root/usr/lib" -type f \( -name chromium-headless-shell -o -name headless_shell \) -perm -1 | head -1)
loader=$(find "$folder/root/" -name 'ld-linux-*.so.*' -type f | head -1)
patchelf --set-interpreter "$loader" "$program"
# Not as its rpath: libraries with a runpath of their own do not inherit that.
cat >"$folder/chromium" <<WRAPPER
#!/bin/sh
LD_LIBRARY_PATH="$libraries" exec "$program" "\$@"
WRAPPER
chmod +x "$folder/chromium"
"$folder/chromium" --version >&2
