# The sound of one episode's clips through LTX-2's audio autoencoder, once.
{
  name = "ltx2-audio-latents";
  kind = "ltx2-audio-latents";
  environment = "ltx2";
  inputs = {
    sound = "clip-sound";
    model = "ltx2-model";
  };
  schemas = [ "ltx2-sound" ];
  modules = [
    "media/frames.py"
    "media/sound.py"
    "train/encoded_files.py"
    "train/ltx.py"
    "train/ltx_encode.py"
    "train/ltx_model.py"
    "train/ltx_small.py"
    "train/prompts.py"
    "train/strict.py"
    "train/tensors.py"
  ];
}
