# Shot boundaries: what PySceneDetect finds, together with the network's votes where there are any.
{
  name = "shots";
  kind = "shots";
  environment = "media";
  inputs = {
    master = "master";
    source = "source";
    votes.optional = "shot-votes";
    overrides.optional = "file";
  };
  schemas = [
    "cut-overrides"
    "frames"
    "shots"
  ];
  modules = [
    "media/frames.py"
    "media/overrides.py"
    "media/small.py"
    "media/transitions.py"
  ];
}
