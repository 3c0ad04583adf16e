# What TransNetV2 says of each frame: is it the last one before a cut?
{
  name = "shot-votes";
  kind = "shot-votes";
  environment = "shots";
  inputs = {
    master = "master";
    source = "source";
  };
  schemas = [ "shot-votes" ];
  modules = [ "media/frames.py" ];
}
