# Every step of the training as data, before any of it runs: clip, timestep, noise seed.
{
  name = "ltx2-plan";
  kind = "ltx2-plan";
  environment = "train";
  inputs = {
    package = "ltx2-package";
    latents.each = "ltx2-video-latents";
    sound.each = "ltx2-audio-latents";
    text.each = "ltx2-text";
  };
  schemas = [
    "plan"
    "recipe"
  ];
  modules = [
    "train/counter.py"
    "train/estimates.json"
    "train/estimates.py"
    "train/ltx_dataset.py"
    "train/ltx_model.py"
    "train/ltx_schedule.py"
    "train/plan.py"
    "train/planning.py"
    "train/prompts.py"
    "train/schedule.py"
  ];
}
