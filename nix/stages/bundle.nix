# What a person takes away: checkpoint, samples, report, and the chain of hashes from the masters to it.
{
  name = "bundle";
  kind = "bundle";
  environment = "runner";
  inputs = {
    checkpoint = "checkpoint";
    samples = "samples";
    report = "report";
    provenance.each = "any";
  };
  schemas = [
    "provenance"
    "stage"
  ];
  modules = [ "report/provenance.py" ];
}
