# The sound of one episode's clips, cut out of its master to the sample.
{
  name = "clip-sound";
  kind = "clip-sound";
  environment = "media";
  inputs = {
    master = "master";
    source = "source";
    clips = "clips";
  };
  schemas = [ "sound" ];
  modules = [
    "media/encode.py"
    "media/frames.py"
    "media/sound.py"
  ];
}
