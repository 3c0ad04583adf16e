# shell : { pkgs } -> { default }
#
# A plain shell for working on Reelgraph itself, where nixpkgs can be reached.
{ pkgs }:
{
  default = pkgs.mkShell {
    packages = [
      pkgs.git
      pkgs.nixfmt-tree
      pkgs.python311
    ];
  };
}
