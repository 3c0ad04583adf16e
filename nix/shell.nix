# shell : { pkgs, checkout } -> { default }
#
# `nix develop` where nixpkgs can be reached: what the app `shell` has, and tools of nixpkgs.
{ pkgs, checkout }:
{
  default = pkgs.mkShell {
    packages = [
      pkgs.git
      pkgs.nixfmt-tree
    ];
    shellHook = checkout.shell "develop";
  };
}
