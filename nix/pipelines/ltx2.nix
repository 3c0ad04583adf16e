# ltx2 : { models, ... } -> name -> specification -> specification
#
# A pipeline of Wan2.2's with the released LTX-2 in its place, on a CUDA builder. LTX-2's licence has a revenue clause: with
# a profile that it does not cover, what reaches the weights does not evaluate.
#
# The numbers are those of LTX-2's own trainer (packages/ltx-trainer/configs/t2v_lora.yaml at 400fd310).
{ models, ... }:
name: specification:
let
  onCuda = {
    device = "cuda";
    dtype = "bfloat16";
  };
in
specification
// {
  inherit name;
  segments = 3;
  models = removeAttrs specification.models [ "wan22" ] // {
    inherit (models) ltx2;
    text_encoder = models.gemma3-12b;
  };
  parameters = specification.parameters // {
    clip-sound = { };
    ltx2-data = {
      inherit name;
      inherit (specification.parameters.wan22-package) trigger fps;
    };
    ltx2-video-latents = onCuda;
    ltx2-audio-latents = onCuda // {
      dtype = "float32";
    };
    ltx2-text = onCuda // {
      inherit (specification.parameters.wan22-package) trigger;
    };
    ltx2-preprocess = { };
    ltx2-plan = {
      seed = 42;
      epochs = 3;
      dataset_repeat = 1;
      gradient_accumulation = 1;
      segments_per_epoch = 1;
      learning_rate = 1.0e-4;
      warmup_steps = 100;
      weight_decay = 0.01;
      gradient_clip = 1.0;
      lora_rank = 32;
      first_frame_probability = 0.5;
      uniform_probability = 0.1;
      token_limit = 0;
      held_out_shots = 4;
      held_out_timesteps = [
        100
        400
        700
        900
      ];
    };
    ltx2-train = onCuda // {
      recompute = "full";
      profile = "exact";
      processes = 1;
    };
    ltx2-samples = removeAttrs specification.parameters.samples [ "text_to_image" ] // onCuda // {
      steps = 30;
    };
  };
}
