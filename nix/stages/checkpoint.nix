# The LoRA as users load it, with what made it in its metadata.
{
  name = "checkpoint";
  kind = "checkpoint";
  environment = "train";
  inputs = {
    segments.each = "wan22-segment";
    plan = "wan22-plan";
    package = "wan22-package";
    model = "wan22-model";
  };
  schemas = [ "checkpoint" ];
  modules = [
    "train/model.py"
    "train/plan.py"
    "train/tensors.py"
  ];
}
