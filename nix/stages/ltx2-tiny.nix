# LTX-2's architecture at toy width with seeded random weights: proves the code, not the pictures.
{
  name = "ltx2-tiny";
  kind = "ltx2-model";
  environment = "ltx2";
  inputs = { };
  schemas = [ "ltx2-model" ];
  modules = [
    "train/counter.py"
    "train/ltx_model.py"
    "train/ltx_small.py"
    "train/random_weights.py"
    "train/tensors.py"
    "train/tokenizer.py"
  ];
}
