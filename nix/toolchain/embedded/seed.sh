#!/bin/sh
# Copies this machine's CPython 3.11, its C runtime, pip and a static busybox into DIRECTORY: the embedded toolchain.
# Usage: seed.sh DIRECTORY INCLUDE DESKTOP, where INCLUDE is /usr/include or what libpython3.11-dev has for it, and DESKTOP a
# folder with the libraries of glib and X11. Nothing in DIRECTORY/seed names the machine, so equal packages give equal bytes.
# The certificates, Python's headers and those libraries stand beside it, because only fetches, a compiler and what draws
# graphs see them, and a renewed one must not rebuild anything else.
set -eu
include=$2
desktop=$3
seed=$1/seed
certificates=/etc/ssl/certs/ca-certificates.crt
stdlib=/usr/lib/python3.11
shared=$(dirname "$(ldconfig -p | awk '$1 == "libstdc++.so.6" { print $NF; exit }')")

for file in /usr/bin/python3.11 "$stdlib/os.py" /bin/busybox /usr/share/python-wheels "$shared/libc.so.6" "$certificates" "$include/python3.11/Python.h"; do
  [ -e "$file" ] || { echo "nixw: $file is missing; install python3.11, libpython3.11-dev, python3-pip-whl, busybox-static and ca-certificates, or set NIXW_TOOLCHAIN=nixpkgs" >&2; exit 3; }
done

mkdir -p "$seed/bin" "$seed/lib" "$seed/pip"
cp /usr/bin/python3.11 "$seed/bin/python3.11"
cp /bin/busybox "$seed/bin/sh"
tar -C /usr/lib -ch --exclude=__pycache__ --exclude=test --exclude=idlelib --exclude=lib2to3 --exclude=ensurepip \
  --exclude=turtledemo --exclude='config-3.11*' --exclude=sitecustomize.py --exclude=EXTERNALLY-MANAGED python3.11 | tar -C "$seed/lib" -x

# dlopen is invisible to ldd: libmvec, the name service and the pieces merged into libc are listed by hand.
{
  ldd /usr/bin/python3.11 "$stdlib"/lib-dynload/*.so "$shared/libstdc++.so.6" | awk '$2 == "=>" && $3 ~ /^\// { print $3 }'
  for name in libmvec.so.1 libdl.so.2 libpthread.so.0 librt.so.1 libutil.so.1 libresolv.so.2 libnss_files.so.2 libnss_dns.so.2 libanl.so.1 libgcc_s.so.1 libstdc++.so.6; do
    [ ! -e "$shared/$name" ] || echo "$shared/$name"
  done
} | sort -u | while read -r library; do cp -L "$library" "$seed/lib/"; done
cp -L "$(ls "$shared"/ld-linux*.so.*)" "$seed/lib/"

for wheel in /usr/share/python-wheels/pip-*.whl; do cp "$wheel" "$seed/pip/pip.whl"; done
chmod -R u+w,go-w "$seed"
cp "$certificates" "$1/certificates.crt"
cp -rL "$include/python3.11" "$1/headers"
# Debian's pyconfig.h only includes that of the architecture.
cp "$include/$(basename "$shared")/python3.11/pyconfig.h" "$1/headers/pyconfig.h"
chmod -R u+w,go-w "$1/headers"
mkdir "$1/desktop"
for name in libglib-2.0.so.0 libgobject-2.0.so.0 libpcre2-8.so.0 libffi.so.8 libX11.so.6 libXext.so.6 libXrender.so.1 \
  libxcb.so.1 libXau.so.6 libXdmcp.so.6 libbsd.so.0 libmd.so.0; do
  [ ! -e "$desktop/$name" ] || cp -L "$desktop/$name" "$1/desktop/"
done
chmod -R u+w,go-w "$1/desktop"
cat > "$1/flake.nix" <<NIX
{
  outputs = _: {
    embedded = {
      seed = builtins.path {
        name = "reel-seed";
        path = ./seed;
        sha256 = "$(nix hash path "$seed")";
      };
      headers = builtins.path {
        name = "reel-python-headers";
        path = ./headers;
        sha256 = "$(nix hash path "$1/headers")";
      };
      desktop = builtins.path {
        name = "reel-desktop-libraries";
        path = ./desktop;
        sha256 = "$(nix hash path "$1/desktop")";
      };
      certificates = builtins.path {
        name = "reel-certificates.crt";
        path = ./certificates.crt;
      };
    };
  };
}
NIX
