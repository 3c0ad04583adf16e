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

# python_include INCLUDE FOLDER: prints INCLUDE if CPython's headers are there. Else they are unpacked in FOLDER:
# installing them would bring those of the C library and more, and needs root.
python_include() {
  [ ! -e "$1/python3.11/Python.h" ] || { echo "$1"; return; }
  say "fetching the headers of CPython 3.11"
  download="apt-get download -q libpython3.11-dev"
  {
    command -v apt-get >/dev/null && cd "$2" && { $download || { [ "$(id -u)" = 0 ] && apt-get update -q && $download; }; } &&
      dpkg-deb -x libpython3.11-dev_*.deb .
  } >&2 || fail "the headers of CPython 3.11 cannot be had here; install libpython3.11-dev, or make nixpkgs reachable"
  echo "$2/usr/include"
}

# Prints the store path of this machine's own CPython and C runtime, copied there when its packages changed.
embedded_seed() {
  packages="python3.11 python3-pip-whl busybox-static ca-certificates"
  state=$({ dpkg-query -W libc6 libstdc++6 python3.11-minimal libpython3.11-stdlib python3-pip-whl busybox-static
    cat "$root/nix/toolchain/embedded/seed.sh" /etc/ssl/certs/ca-certificates.crt; } 2>/dev/null | cksum | cut -d' ' -f1)
  seed=$(read_file "$cache/seed-$state")
  if [ -z "$seed" ] || [ ! -e "$seed" ]; then
    missing=$(for package in $packages; do dpkg -s "$package" >/dev/null 2>&1 || echo "$package"; done)
    # shellcheck disable=SC2086
    [ -z "$missing" ] || install_packages "neither nixpkgs nor a distribution's CPython 3.11 can be had here; make nixpkgs reachable, or use Debian 12" $missing
    say "copying this machine's CPython 3.11 and C runtime into the Nix store"
    folder=$(mktemp -d)
    include=$(python_include /usr/include "$folder") || exit 3
    sh "$root/nix/toolchain/embedded/seed.sh" "$folder/toolchain" "$include" || exit 3
    # A store path of this name is taken by flakes as it is; under another name every call would copy it again.
    seed=$(nix store add-path --name source "$folder/toolchain")
    rm -rf "$folder"
    echo "$seed" >"$cache/seed-$state"
  fi
  echo "$seed"
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
