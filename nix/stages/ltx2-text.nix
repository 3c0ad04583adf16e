# One episode's captions through LTX-2's text encoder, once.
{
  name = "ltx2-text";
  kind = "ltx2-text";
  environment = "ltx2";
  inputs = {
    captions = "reviewed";
    model = "ltx2-model";
    text_encoder.optional = "text-model";
  };
  schemas = [ "ltx2-text" ];
  modules = [
    "train/encoded_files.py"
    "train/ltx.py"
    "train/ltx_encode.py"
    "train/ltx_model.py"
    "train/ltx_prompts.py"
    "train/ltx_small.py"
    "train/prompts.py"
    "train/strict.py"
    "train/tensors.py"
  ];
}
