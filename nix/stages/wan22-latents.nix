# One episode's clips through the video autoencoder, once.
{
  name = "wan22-latents";
  kind = "wan22-latents";
  environment = "train";
  inputs = {
    clips = "clips";
    model = "wan22-model";
  };
  schemas = [ "latents" ];
  modules = [
    "media/encode.py"
    "media/frames.py"
    "train/encode.py"
    "train/encoded_files.py"
    "train/model.py"
    "train/prompts.py"
    "train/strict.py"
    "train/tensors.py"
    "train/video.py"
    "train/wan.py"
  ];
}
