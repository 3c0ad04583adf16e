# Shot boundaries.
{
  name = "shots";
  kind = "shots";
  environment = "media";
  inputs = {
    master = "master";
    source = "source";
  };
  schemas = [
    "frames"
    "shots"
  ];
  modules = [ "media/frames.py" ];
}
