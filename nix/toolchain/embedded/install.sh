# What nixw does once on a machine: install Nix, copy the embedded toolchain, try one build. Sourced by nixw.
# Needs: root (the checkout), cache (a folder for what is remembered).

say() { echo "nixw: $*" >&2; }
fail() {
  say "$*"
  exit 3
}

# install_packages SENTENCE PACKAGE...: SENTENCE is what to say where they cannot be had.
install_packages() {
  sentence=$1
  shift
  command -v apt-get >/dev/null || fail "$sentence"
  [ "$(id -u)" = 0 ] || fail "$* must be installed first; ask root to run: apt-get install $*"
  say "installing $*"
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"; } >&2 ||
    fail "$sentence (apt-get's own message is above)"
}

# unpack_packages FOLDER PACKAGE...: the distribution's packages in FOLDER, without installing them, which needs root.
unpack_packages() (
  command -v apt-get >/dev/null && cd "$1" || exit 1
  shift
  download="apt-get download -q $*"
  # shellcheck disable=SC2086
  $download || { [ "$(id -u)" = 0 ] && apt-get update -q && $download; } || exit 1
  for package in ./*.deb; do dpkg-deb -x "$package" . && rm "$package" || exit 1; done
) >&2

# python_include INCLUDE FOLDER: prints INCLUDE if CPython's headers are there. Else they are unpacked in FOLDER:
# installing them would bring those of the C library and more.
python_include() {
  [ ! -e "$1/python3.11/Python.h" ] || { echo "$1"; return; }
  say "fetching the headers of CPython 3.11"
  unpack_packages "$2" libpython3.11-dev ||
    fail "the headers of CPython 3.11 cannot be had here; install libpython3.11-dev, or make nixpkgs reachable"
  echo "$2/usr/include"
}

# desktop_libraries LIBRARIES FOLDER: prints LIBRARIES if glib and X11 are there, else where they are unpacked in FOLDER.
desktop_libraries() {
  absent=$(for name in libgobject-2.0.so.0 libXext.so.6 libXrender.so.1; do [ -e "$1/$name" ] || echo "$name"; done)
  [ "$absent" ] || { echo "$1"; return; }
  say "fetching the libraries of glib and X11"
  # shellcheck disable=SC2086
  unpack_packages "$2" $desktop_packages ||
    fail "the libraries of glib and X11 cannot be had here; install libglib2.0-0, libxext6 and libxrender1, or make nixpkgs reachable"
  dirname "$(find "$2" -name libgobject-2.0.so.0)"
}
desktop_packages="libglib2.0-0 libpcre2-8-0 libffi8 libx11-6 libxext6 libxrender1 libxcb1 libxau6 libxdmcp6 libbsd0 libmd0"

# Prints the store path of this machine's own CPython and C runtime, copied there when its packages changed.
embedded_seed() {
  packages="python3.11 python3-pip-whl busybox-static ca-certificates"
  # shellcheck disable=SC2086
  state=$({ dpkg-query -W libc6 libstdc++6 python3.11-minimal libpython3.11-stdlib python3-pip-whl busybox-static $desktop_packages
    cat "$root/nix/toolchain/embedded/seed.sh" /etc/ssl/certs/ca-certificates.crt; } 2>/dev/null | cksum | cut -d' ' -f1)
  seed=$(read_file "$cache/seed-$state")
  if [ -z "$seed" ] || [ ! -e "$seed" ]; then
    missing=$(for package in $packages; do dpkg -s "$package" >/dev/null 2>&1 || echo "$package"; done)
    # shellcheck disable=SC2086
    [ -z "$missing" ] || install_packages "neither nixpkgs nor a distribution's CPython 3.11 can be had here; make nixpkgs reachable, or use Debian 12" $missing
    say "copying this machine's CPython 3.11 and C runtime into the Nix store"
    folder=$(mktemp -d)
    mkdir "$folder/headers" "$folder/desktop"
    include=$(python_include /usr/include "$folder/headers") || exit 3
    desktop=$(desktop_libraries "/usr/lib/$(uname -m)-linux-gnu" "$folder/desktop") || exit 3
    sh "$root/nix/toolchain/embedded/seed.sh" "$folder/toolchain" "$include" "$desktop" || exit 3
    # A store path of this name is taken by flakes as it is; under another name every call would copy it again.
    seed=$(nix store add-path --name source "$folder/toolchain")
    rm -rf "$folder"
    echo "$seed" >"$cache/seed-$state"
  fi
  echo "$seed"
}

# Without git a flake is all that lies in its folder. Nix 2.8 cannot read a checkout in a folder of any name and does not say
# why; 2.26 can.
check_folder() {
  [ ! -e flake.nix ] || [ -e .git ] || git rev-parse --git-dir >/dev/null 2>&1 ||
    say "$PWD is no git checkout, so Nix copies all that lies in it into the store at each call; make it one: git init && git add -A"
  printf %s "$PWD" | LC_ALL=C grep -q '[^A-Za-z0-9/._~@+,:=-]' || return 0
  ! nix flake metadata 2>&1 | grep -q "is not a valid URL" ||
    fail "this Nix reads no git checkout in a folder with spaces or accents in its name ($PWD); move it to one of plain letters, or use Nix 2.26"
}

# check_builds SHELL: one small build shows whether this Nix, or its daemon, can do what every stage needs.
check_builds() {
  stamp="$cache/builds-$(nix --version | tr -dc '0-9.')-$(id -u)"
  [ ! -e "$stamp" ] || return 0
  nix build --no-link --impure --expr "derivation { name = \"reel-probe\"; system = builtins.currentSystem; builder = $1;
    args = [ \"-c\" \"[ \$(pwd) = /build ] && echo > \$out\" ]; __contentAddressed = true; outputHashMode = \"recursive\"; outputHashAlgo = \"sha256\"; }" 2>"$cache/probe.log" ||
    fail "this Nix does not build content-addressed derivations in a sandbox; put 'experimental-features = nix-command flakes ca-derivations' and 'sandbox = true' into /etc/nix/nix.conf and restart its daemon (details: $cache/probe.log)"
  touch "$stamp"
}
