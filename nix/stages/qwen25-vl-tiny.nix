# Qwen2.5-VL at toy width with seeded random weights: proves the code, not the words.
{
  name = "qwen25-vl-tiny";
  kind = "vision-model";
  environment = "vlm";
  inputs = { };
  schemas = [ ];
  modules = [
    "train/counter.py"
    "train/tensors.py"
    "words/tiny.py"
  ];
}
