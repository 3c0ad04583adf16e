# Wan2.2-TI2V-5B's architecture at toy width with seeded random weights: proves the code, not the pictures.
{
  name = "wan22-tiny";
  kind = "wan22-model";
  environment = "train";
  inputs = { };
  schemas = [ "model" ];
  modules = [
    "train/counter.py"
    "train/model.py"
    "train/random_weights.py"
    "train/strict.py"
    "train/tensors.py"
    "train/tokenizer.py"
    "train/wan.py"
  ];
}
