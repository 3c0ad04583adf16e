# A part of a film with spoken lines mixed over its soundtrack: an episode master for pipelines without masters.
{
  name = "excerpt";
  kind = "master";
  environment = "media";
  inputs = {
    film = "file";
    speech = "file";
  };
  schemas = [ ];
  modules = [
    "media/archives.py"
    "media/encode.py"
    "media/frames.py"
    "media/sound.py"
  ];
}
