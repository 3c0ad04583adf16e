# Shots joined with the lines spoken in them.
{
  name = "shot-reference";
  kind = "shot-reference";
  environment = "media";
  inputs = {
    shots = "shots";
    transcript = "transcript";
  };
  schemas = [ "shot-reference" ];
  modules = [ ];
}
