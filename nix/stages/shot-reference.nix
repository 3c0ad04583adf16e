# Shots joined with the lines spoken in them and, where known, who speaks.
{
  name = "shot-reference";
  kind = "shot-reference";
  environment = "media";
  inputs = {
    shots = "shots";
    transcript = "transcript";
    speakers.optional = "file";
  };
  schemas = [
    "shot-reference"
    "speakers"
  ];
  modules = [ "text/yaml.py" ];
}
