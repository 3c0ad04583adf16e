# What a master is: codec, size, frame rate, duration, sound; wrong or damaged masters stop here.
{
  name = "source";
  kind = "source";
  environment = "media";
  inputs.master = "master";
  schemas = [ "probe" ];
  modules = [
    "byte_progress.py"
    "media/frames.py"
    "media/sound_streams.py"
  ];
}
