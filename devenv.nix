# The runbook's tasks for the devenv CLI, from nix/tasks.nix: `devenv tasks run train:step1-clips`.
#
# Each runs `reel task` for itself alone, since devenv has run those before it. A real order asks a question, so it is made
# with `reel task` in a terminal.
{ pkgs, config, ... }:
let
  tasks = import ./nix/tasks.nix;
  reel = arguments: ''exec "${config.devenv.root}/nixw" run "${config.devenv.root}#reel" -- ${arguments}'';
  isBuild = task: task.stages != [ ];
in
{
  packages = [
    pkgs.git
    pkgs.python311
  ];
  tasks = builtins.mapAttrs (
    name: task:
    {
      inherit (task) description after;
      input = builtins.mapAttrs (_: input: input.default) task.inputs;
      cwd = config.devenv.root;
      exec = reel "task --only ${name}";
      showOutput = true;
    }
    // (if isBuild task then { status = reel "task --is-done ${name}"; } else { })
  ) tasks;
}
