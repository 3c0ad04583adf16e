# One episode's captions through the text encoder, once.
{
  name = "wan22-text";
  kind = "wan22-text";
  environment = "train";
  inputs = {
    captions = "reviewed";
    model = "wan22-model";
  };
  schemas = [ "text" ];
  modules = [
    "train/encode.py"
    "train/encoded_files.py"
    "train/model.py"
    "train/prompts.py"
    "train/strict.py"
    "train/tensors.py"
    "train/wan.py"
  ];
}
