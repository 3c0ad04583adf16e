# What was encoded, in the layout of LTX-2's own trainer.
{
  name = "ltx2-preprocess";
  kind = "ltx2-preprocess";
  environment = "train";
  inputs = {
    package = "ltx2-package";
    latents.each = "ltx2-video-latents";
    sound.each = "ltx2-audio-latents";
    text.each = "ltx2-text";
  };
  schemas = [ "ltx2-preprocess" ];
  modules = [
    "train/counter.py"
    "train/estimates.py"
    "train/ltx_dataset.py"
    "train/ltx_model.py"
    "train/ltx_padding.py"
    "train/plan.py"
    "train/planning.py"
    "train/prompts.py"
    "train/schedule.py"
    "train/tensors.py"
  ];
}
