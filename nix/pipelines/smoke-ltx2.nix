# smoke-ltx2 : arguments of smoke.nix -> specification
#
# The smoke pipeline with LTX-2 at toy width in Wan2.2's place: the same film, clips and captions, and their sound.
arguments@{ mkStage, stages, ... }:
let
  smoke = import ./smoke.nix arguments;
  onCpu = {
    device = "cpu";
    dtype = "float32";
  };
  shared = [
    "seed"
    "epochs"
    "dataset_repeat"
    "gradient_accumulation"
    "segments_per_epoch"
    "warmup_steps"
    "weight_decay"
    "gradient_clip"
    "lora_rank"
    "first_frame_probability"
    "token_limit"
    "held_out_shots"
    "held_out_timesteps"
  ];
  pick = names: set: builtins.intersectAttrs (builtins.listToAttrs (map (name: { inherit name; value = null; }) names)) set;
in
smoke
// {
  name = "smoke-ltx2";
  models = removeAttrs smoke.models [ "wan22" ] // {
    ltx2 = mkStage {
      definition = stages.ltx2-tiny;
      set = "smoke-ltx2";
      inputs = { };
      parameters = {
        seed = 2;
        dit_heads = 2;
        dit_head_dim = 16;
        dit_audio_head_dim = 8;
        dit_layers = 3;
        text_dim = 32;
        text_heads = 2;
        text_layers = 2;
        vae_dim = 4;
        audio_dim = 8;
        vocoder_dim = 64;
      };
    };
  };
  parameters = smoke.parameters // {
    ltx2-video-latents = onCpu;
    ltx2-audio-latents = onCpu;
    ltx2-text = onCpu // {
      trigger = "";
    };
    ltx2-preprocess = { };
    ltx2-plan = pick shared smoke.parameters.wan22-plan // {
      dataset_repeat = 8;
      learning_rate = 1.0e-4;
      uniform_probability = 0.1;
    };
    ltx2-train = smoke.parameters.wan22-train;
    ltx2-samples = removeAttrs smoke.parameters.samples [ "text_to_image" ];
    report = smoke.parameters.report // {
      title = "Reelgraph LTX-2 smoke";
    };
  };
}
