# One segment's steps, cut out of the plan, so that a longer plan leaves the segments that are trained as they are.
{
  name = "segment-plan";
  kind = "segment-plan";
  environment = "runner";
  inputs.plan = [
    "wan22-plan"
    "ltx2-plan"
  ];
  schemas = [ ];
  modules = [ ];
}
