# Frame-exact clips for training, their first frames, and every other frame with the rule that rejected it.
{
  name = "clips";
  kind = "clips";
  environment = "media";
  inputs = {
    master = "master";
    source = "source";
    shots = "shots";
    texts.optional = "texts";
    overrides.optional = "file";
  };
  schemas = [
    "clips"
    "cut-overrides"
  ];
  modules = [
    "media/ahead.py"
    "media/clip_file.py"
    "media/encode.py"
    "media/frames.py"
    "media/overrides.py"
    "media/plan.py"
    "media/tags.py"
    "media/transitions.py"
  ];
}
