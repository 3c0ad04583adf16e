# One episode's clips through LTX-2's video autoencoder, once.
{
  name = "ltx2-video-latents";
  kind = "ltx2-video-latents";
  environment = "ltx2";
  inputs = {
    clips = "clips";
    model = "ltx2-model";
  };
  schemas = [ "ltx2-latents" ];
  modules = [
    "media/encode.py"
    "media/frames.py"
    "train/encoded_files.py"
    "train/ltx.py"
    "train/ltx_encode.py"
    "train/ltx_model.py"
    "train/ltx_small.py"
    "train/prompts.py"
    "train/strict.py"
    "train/tensors.py"
    "train/video.py"
  ];
}
