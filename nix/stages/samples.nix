# Text to image, text to video and image to video from the checkpoint.
{
  name = "samples";
  kind = "samples";
  environment = "train";
  inputs = {
    checkpoint = "checkpoint";
    low_noise_checkpoint.optional = "checkpoint";
    package = "wan22-package";
    model = "wan22-model";
  };
  schemas = [ "samples" ];
  modules = [
    "media/encode.py"
    "media/frames.py"
    "train/model.py"
    "train/sampling.py"
    "train/strict.py"
    "train/video.py"
    "train/wan.py"
  ];
}
