# An episode's pictures and sound as other episodes recognise them.
{
  name = "fingerprints";
  kind = "fingerprints";
  environment = "media";
  inputs = {
    master = "master";
    source = "source";
    shots = "shots";
  };
  schemas = [ "fingerprints" ];
  modules = [
    "media/fingerprints.py"
    "media/frames.py"
    "media/sound.py"
  ];
}
