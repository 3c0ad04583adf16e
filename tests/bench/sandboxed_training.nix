# { root, folder, python, parameters } -> derivation
#
# Two chained segments of the stage wan22-train on the files that train_resume.py's `prepare` wrote, built as the graph
# builds them, with another Python in the place of the locked environment.
#
#   root        the checkout
#   folder      what was prepared: model, plan, and e with latents and text
#   python      a folder with bin/python3.11, there inside the sandbox only
#   parameters  of the stage, as JSON, but for the segment
{
  root,
  folder,
  python,
  parameters,
}:
let
  stages = import (/. + root + "/nix/stages");
  mkStage = import (/. + root + "/nix/stage.nix") {
    system = "x86_64-linux";
    inherit stages;
    environments.train = python;
    code = /. + root + "/python";
  };
  given = kind: name: {
    inherit kind name;
    outPath = builtins.path {
      inherit name;
      path = /. + folder + "/${name}";
    };
  };
  segment =
    number:
    mkStage {
      definition = stages.wan22-train // {
        cuda = true;
      };
      set = "sandboxed-segment-${toString number}";
      inputs = {
        plan = given "segment-plan" "plan";
        latents.e = given "wan22-latents" "e";
        text.e = given "wan22-text" "e";
        model = given "wan22-model" "model";
        previous = if number == 0 then null else segment (number - 1);
      };
      parameters = builtins.fromJSON parameters // {
        segment = number;
      };
    };
in
segment 1
