# What is written in the picture: titles, credits, logos.
{
  name = "texts";
  kind = "texts";
  environment = "text";
  inputs = {
    master = "master";
    source = "source";
    shots = "shots";
  };
  schemas = [ "texts" ];
  modules = [
    "media/frames.py"
    "media/texts.py"
  ];
}
