# master : { script, mark } -> work -> episode of the manifest -> master (one file)
#
# A master as a fixed output: its path follows from its hash, and `reel manifest ingest` puts it there. Nothing fetches it,
# and no cache is asked for it. `work` is the entry of materials/licences/works under whose terms it may be used.
{ script, mark }:
work: episode:
let
  file = script {
    name = "reel-master-${episode.id}${episode.suffix}";
    file = ./models/missing.py;
    missing = "episode '${episode.id}': its master ${episode.file} is not in the store; run: reel manifest ingest DIR";
    outputHashMode = "flat";
    outputHashAlgo = "sha256";
    outputHash = episode.sha256;
    preferLocalBuild = true;
    allowSubstitutes = false;
  };
in
mark [ work ] (file // { kind = "master"; })
