# One page: contact sheet, captions, rejects, loss, samples, and what was built from what.
{
  name = "report";
  kind = "report";
  environment = "report";
  inputs = {
    source.each = "source";
    shots.each = "shots";
    clips.each = "clips";
    transcript.each = "transcript";
    captions.each = "reviewed";
    package = [
      "wan22-package"
      "ltx2-package"
    ];
    plan = [
      "wan22-plan"
      "ltx2-plan"
    ];
    checkpoint = "checkpoint";
    samples = "samples";
    model = [
      "wan22-model"
      "ltx2-model"
    ];
  };
  schemas = [ "stage" ];
  modules = [
    "media/frames.py"
    "report/episodes.py"
    "report/loss.py"
    "report/page.py"
    "report/pictures.py"
    "report/provenance.py"
    "report/samples.py"
    "report/report.html.jinja"
    "report/report.css"
  ];
}
