# triton : { script, toolchain, system, zig } -> triton -> derivation
#
# A package to stand before Triton's own in an environment, so that Triton starts kernels in a sandbox: its C module
# compiled ahead by zig, ptxas under the toolchain's loader, and settings that need neither compiler, ldconfig nor home.
#
#   zig  the unpacked wheel `ziglang`
#
# Example: environment { name = "train"; packages = [ (triton unpacked) unpacked ]; }
{
  script,
  toolchain,
  system,
  zig,
}:
triton:
script {
  name = "reel-triton-ahead";
  file = ./triton.py;
  inherit triton;
  zig = "${zig}/lib/python3.11/site-packages/ziglang/zig";
  # The oldest C library on which the locked torch runs.
  target = "${system}-gnu.2.28";
  driver = "/run/opengl-driver/lib";
  inherit (toolchain) headers shell loader;
  libraries = builtins.concatStringsSep ":" toolchain.libraries;
}
