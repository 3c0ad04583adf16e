# pipelines : { mkStage, stages, materials, models, master } -> { <name> = specification; }
#
# The licensed pipelines are there only where their manifest is.
arguments:
let
  manifest = ../../materials/training-data/iiw_english_source_manifest.json;
  licensed =
    if builtins.pathExists manifest then
      import ./iiw.nix arguments (builtins.fromJSON (builtins.readFile manifest))
    else
      { };
in
{
  film = import ./film.nix arguments;
  film-ltx2 = import ./ltx2.nix arguments "film-ltx2" (import ./film.nix arguments);
  smoke = import ./smoke.nix arguments;
  smoke-ltx2 = import ./smoke-ltx2.nix arguments;
  smoke-cuda = import ./smoke-cuda.nix arguments;
}
// licensed
