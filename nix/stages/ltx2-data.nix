# Clips, sound and captions of all episodes as the dataset that LTX-2's own trainer reads.
{
  name = "ltx2-data";
  kind = "ltx2-package";
  environment = "media";
  inputs = {
    clips.each = "clips";
    captions.each = "reviewed";
    sound.each = "clip-sound";
  };
  schemas = [
    "ltx2-dataset"
    "metadata"
  ];
  modules = [
    "media/encode.py"
    "media/frames.py"
    "media/mux.py"
    "train/ltx_prompts.py"
    "train/package.py"
  ];
}
