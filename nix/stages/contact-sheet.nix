# One page for an episode: shots, votes, clips to play, rejects.
{
  name = "contact-sheet";
  kind = "contact-sheet";
  environment = "report";
  inputs = {
    source = "source";
    shots = "shots";
    clips = "clips";
  };
  schemas = [ ];
  modules = [
    "sheet/sheet.html.jinja"
  ];
}
