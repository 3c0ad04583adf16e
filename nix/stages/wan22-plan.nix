# Every step of the training as data, before any of it runs: clip, timestep, noise seed.
{
  name = "wan22-plan";
  kind = "wan22-plan";
  environment = "train";
  inputs = {
    package = "wan22-package";
    latents.each = "wan22-latents";
    text.each = "wan22-text";
  };
  schemas = [
    "plan"
    "recipe"
  ];
  modules = [
    "train/counter.py"
    "train/estimates.json"
    "train/estimates.py"
    "train/plan.py"
    "train/planning.py"
    "train/prompts.py"
    "train/schedule.py"
  ];
}
