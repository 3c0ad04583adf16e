# Qwen2.5-Omni at toy width with seeded random weights: proves the code, not the words.
{
  name = "qwen25-omni-tiny";
  kind = "omni-model";
  environment = "vlm";
  inputs = { };
  schemas = [ ];
  modules = [
    "train/counter.py"
    "train/tensors.py"
    "words/tiny.py"
  ];
}
