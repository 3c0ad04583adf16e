# validation : { script, python } -> { nonce } -> { gpu, place }
#
# Two derivations that no store has seen before, content-addressed as every stage is: `gpu` may only be built where
# `cuda` is offered and fails unless it finds a GPU inside the sandbox and computes on it; `place` needs no feature and
# must not land on a CUDA builder.
#
#   python  an environment whose library path names the driver's folder
#
# Example: validation { inherit (python) script; python = python.environments.runner; } { nonce = "1"; }
{ script, python }:
{ nonce }:
let
  check =
    name: file: features:
    script {
      name = "reel-builder-${name}";
      inherit file python nonce;
      requiredSystemFeatures = features;
      __contentAddressed = true;
      outputHashMode = "recursive";
      outputHashAlgo = "sha256";
    };
in
if nonce == "" then
  throw "reelgraph: a validation needs a nonce, or it would show what was true before; run 'reel builder validate'"
else
  {
    gpu = check "gpu-check" ./gpu_check.py [ "cuda" ];
    place = check "place-check" ./place_check.py [ ];
  }
