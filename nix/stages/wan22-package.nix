# Clips and captions of all episodes as the dataset that trainers read.
{
  name = "wan22-package";
  kind = "wan22-package";
  environment = "media";
  inputs = {
    clips.each = "clips";
    captions.each = "reviewed";
  };
  schemas = [
    "dataset"
    "metadata"
    "wan21_metadata"
  ];
  modules = [
    "media/frames.py"
    "train/package.py"
    "train/prompts.py"
  ];
}
