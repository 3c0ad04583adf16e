# The LoRA as users load it, with what made it in its metadata.
{
  name = "checkpoint";
  kind = "checkpoint";
  environment = "train";
  inputs = {
    segments.each = [
      "wan22-segment"
      "ltx2-segment"
    ];
    plan = [
      "wan22-plan"
      "ltx2-plan"
    ];
    package = [
      "wan22-package"
      "ltx2-package"
    ];
    model = [
      "wan22-model"
      "ltx2-model"
    ];
  };
  schemas = [ "checkpoint" ];
  modules = [
    "train/model.py"
    "train/plan.py"
    "train/tensors.py"
  ];
}
