# Frame-exact clips for training, their first frames, and every other frame with the rule that rejected it.
{
  name = "clips";
  kind = "clips";
  environment = "media";
  inputs = {
    master = "master";
    source = "source";
    shots = "shots";
  };
  schemas = [ "clips" ];
  modules = [
    "media/encode.py"
    "media/frames.py"
    "media/plan.py"
  ];
}
