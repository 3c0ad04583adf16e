# Videos with sound from the checkpoint, of text and of a first frame.
{
  name = "ltx2-samples";
  kind = "samples";
  environment = "ltx2";
  inputs = {
    checkpoint = "checkpoint";
    package = "ltx2-package";
    model = "ltx2-model";
    text_encoder.optional = "text-model";
  };
  schemas = [ "samples" ];
  modules = [
    "media/encode.py"
    "media/frames.py"
    "train/ltx.py"
    "train/ltx_model.py"
    "train/ltx_small.py"
    "train/sampling.py"
    "train/strict.py"
    "train/video.py"
  ];
}
