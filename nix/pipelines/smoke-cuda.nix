# smoke-cuda : arguments of smoke.nix -> specification
#
# The smoke pipeline with everything that computes on tensors on a CUDA builder, in the released models' number format.
arguments:
let
  smoke = import ./smoke.nix arguments;
  onCuda =
    stage:
    smoke.parameters.${stage}
    // {
      device = "cuda";
      dtype = "bfloat16";
    };
in
smoke
// {
  name = "smoke-cuda";
  parameters = smoke.parameters // {
    wan22-latents = onCuda "wan22-latents";
    wan22-text = onCuda "wan22-text";
    wan22-train = onCuda "wan22-train";
    samples = onCuda "samples";
  };
}
