# nixpkgs : { pkgs, system } -> toolchain
#
# A handful of stable attributes of nixpkgs and no more.
{ pkgs, system }:
{
  name = "nixpkgs";
  shell = "${pkgs.bash}/bin/sh";
  loader = "${pkgs.glibc}/lib/${(import ./loaders.nix).${system}}";
  libraries = map (package: "${package}/lib") [
    pkgs.stdenv.cc.cc.lib
    pkgs.zlib
    pkgs.glibc
  ];
  desktopLibraries = map (package: "${package}/lib") [
    pkgs.glib.out
    pkgs.xorg.libX11
    pkgs.xorg.libXext
    pkgs.xorg.libXrender
  ];
  pythonHome = pkgs.python311;
  headers = "${pkgs.python311}/include/python3.11";
  pip = "${pkgs.python311Packages.pip}/lib/python3.11/site-packages";
  certificates = "${pkgs.cacert}/etc/ssl/certs/ca-bundle.crt";
}
