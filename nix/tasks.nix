# tasks : { <name> = task; }
#
# THE list of what the runbook does: devenv.nix, `reel task` and the table in docs/runbook.md are made from it.
#
#   description  one sentence
#   stages       stages of the graph that it builds, for every episode and set of the pipeline; or
#   run          commands of reel; "{name}" is an input, and further arguments go to the last command
#   inputs       { <name> = { description; default = a string, or null if it must be given; }; }
#   after        tasks that run first; none of them ever spends money
#   needs        gpu (with released weights), network, money
#   answers      regular expressions: a failure that says this is mended by this task
#
# A new task is one entry. Names: letters, digits, - and _, parts joined by colons, none the beginning of another.
let
  manifest = ../materials/training-data/iiw_english_source_manifest.json;

  pipeline = {
    description = "pipeline of nix/pipelines to build";
    default = if builtins.pathExists manifest then "iiw" else "smoke";
  };
  lease = {
    description = "lease to act on; the open one if empty";
    default = "";
  };
  masters = {
    description = "folder of the licensed masters";
    default = null;
  };

  complete =
    task:
    {
      stages = [ ];
      run = [ ];
      after = [ ];
      needs = [ ];
      answers = [ ];
    }
    // task
    // {
      inputs = (if task ? stages then { inherit pipeline; } else { }) // (task.inputs or { });
    };

  ingest = group: title: answered: {
    description = "Fetch the weights of ${title} into the store and check them against the lock.";
    run = [ [ "models" "ingest" group ] ];
    needs = [ "network" ];
    answers = [ "model '${answered}[^']*': .* is not in the store" ];
  };
in
builtins.mapAttrs (_: complete) {
  "builder:server:find-cheapest-gpu" = {
    description = "Rank the GPU machines on offer by the cost of the whole lease and write the cheapest as a quote.";
    inputs = {
      hours = {
        description = "planned length of the lease";
        default = "10";
      };
      memory = {
        description = "least memory of one card in GB";
        default = "24";
      };
      quote = {
        description = "quote file";
        default = "quote.json";
      };
    };
    run = [ [ "builder" "find-cheapest-gpu" "--hours" "{hours}" "--min-memory-gb" "{memory}" "--output" "{quote}" ] ];
    needs = [ "network" ];
    answers = [ "quote\\.json: .*(cannot be read|old)" ];
  };
  "builder:server:order:execute-cheapest" = {
    description = "Order the quoted machine: as a test, or for money with -- --real and its three caps.";
    inputs.quote = {
      description = "quote file";
      default = "quote.json";
    };
    run = [ [ "builder" "order" "{quote}" ] ];
    after = [ "builder:server:find-cheapest-gpu" ];
    needs = [ "network" "money" ];
    answers = [ "the journal has no open lease" ];
  };
  "builder:server:order:wait" = {
    description = "Wait until the ordered machine is ready; it is billed from then on.";
    inputs = {
      inherit lease;
      minutes = {
        description = "deadline";
        default = "60";
      };
    };
    run = [ [ "builder" "wait" "{lease}" "--minutes" "{minutes}" ] ];
    needs = [ "network" ];
  };
  "builder:server:install" = {
    description = "Erase the ready machine's disks, make it a NixOS CUDA builder and register it.";
    inputs = { inherit lease; };
    run = [ [ "builder" "install" "{lease}" ] ];
    after = [ "builder:server:order:wait" ];
    needs = [ "network" ];
    answers = [ "is not installed yet" ];
  };
  "builder:local:register-remote" = {
    description = "Let this user's Nix build GPU stages on the installed machine, its host key pinned.";
    inputs = { inherit lease; };
    run = [ [ "builder" "register" "{lease}" ] ];
    needs = [ "network" ];
    answers = [ "no CUDA builder is registered" "needs? a (CUDA )?builder" ];
  };
  "builder:local:unregister-remote" = {
    description = "Take the builder out of this user's Nix configuration.";
    inputs.name = {
      description = "builder; all of them if empty";
      default = "";
    };
    run = [ [ "builder" "unregister" "{name}" ] ];
  };
  "builder:validate:remote" = {
    description = "Find the GPU from inside the builder's sandbox, and see that nothing else lands there.";
    inputs.name = {
      description = "builder; the only one if empty";
      default = "";
    };
    run = [ [ "builder" "validate" "{name}" ] ];
    needs = [ "gpu" "network" ];
  };
  "builder:server:cancellation:execute-now" = {
    description = "End the lease and its bill, and see that the machine is gone.";
    inputs = { inherit lease; };
    run = [ [ "builder" "cancel" "{lease}" ] ];
    needs = [ "network" ];
  };

  "models:ingest:wan22" = ingest "wan22" "Wan2.2-TI2V-5B" "wan22";
  "models:ingest:qwen" = ingest "qwen" "Qwen2.5-VL-7B and Qwen2.5-Omni-7B" "qwen";
  "models:ingest:asr" = ingest "asr" "whisper-large-v3-turbo" "whisper";

  "train:step1-manifest" = {
    description = "Describe every master in the source manifest: streams, hash, episode, title.";
    inputs = { inherit masters; };
    run = [ [ "manifest" "build" "{masters}" ] ];
    answers = [ "there is no manifest" "there is no pipeline 'iiw" ];
  };
  "train:step1-ingest-masters" = {
    description = "Put the masters of the manifest into the store, each checked against its hash.";
    inputs = { inherit masters; };
    run = [ [ "manifest" "ingest" "{masters}" ] ];
    after = [ "train:step1-manifest" ];
    answers = [ "its master .* is not in the store" ];
  };
  "train:step1-probe" = {
    description = "Look at each master: codec, size, rate, duration, sound.";
    stages = [ "source" ];
  };
  "train:step1-variants" = {
    description = "Find masters that are one episode in several languages or under several titles.";
    stages = [ "fingerprints" "variants" ];
    after = [ "train:step1-shots" ];
    answers = [ "run the variants stage" ];
  };
  "train:step1-shots" = {
    description = "Find the shot boundaries.";
    stages = [ "shot-votes" "shots" ];
    after = [ "train:step1-probe" ];
  };
  "train:step1-clips" = {
    description = "Cut frame-exact clips, and say of every other frame which rule rejected it.";
    stages = [ "texts" "clips" "contact-sheet" ];
    after = [ "train:step1-shots" ];
  };

  "train:step2-transcript-base" = {
    description = "Write down what is said, with word times.";
    stages = [ "transcript-base" ];
    after = [ "train:step1-probe" ];
    needs = [ "gpu" ];
  };
  "train:step2-transcript-disambiguate" = {
    description = "Hear doubtful lines again and choose among the bible's names.";
    stages = [ "transcript-disambiguate" ];
    after = [ "train:step2-bible" "train:step2-transcript-base" ];
    needs = [ "gpu" ];
  };
  "train:step2-bible" = {
    description = "Check the bible: the only names that a caption may use.";
    stages = [ "bible" "episode-bible" "episode-names" ];
  };
  "train:step2-shot-reference" = {
    description = "Join shots with their lines.";
    stages = [ "shot-reference" ];
    after = [ "train:step1-shots" "train:step2-transcript-disambiguate" ];
  };
  "train:step2-scene-context" = {
    description = "Match a person's labels to clips, and group shots into scenes: where, who, what so far.";
    stages = [ "bootstrap" "scene-context" ];
    after = [ "train:step1-clips" "train:step2-shot-reference" "train:step2-bible" ];
  };
  "train:step2-caption" = {
    description = "Caption every clip, from a person's labels where there are any.";
    stages = [ "caption" ];
    after = [ "train:step2-scene-context" ];
    needs = [ "gpu" ];
  };
  "train:step2-reviewed" = {
    description = "Put a person's corrections on top of the captions.";
    stages = [ "reviewed" ];
    after = [ "train:step2-caption" ];
  };

  "train:step3-wan22-package" = {
    description = "Package clips and captions as Wan2.2 trainers read them.";
    stages = [ "wan22-package" ];
    after = [ "train:step2-reviewed" ];
  };
  "train:step3-ltx2-data" = {
    description = "Package clips, their sound and captions as the LTX-2 trainer reads them.";
    stages = [ "clip-sound" "ltx2-data" ];
    after = [ "train:step2-reviewed" ];
  };

  "train:step4-wan22-encode" = {
    description = "Encode clips and captions for Wan2.2, once.";
    stages = [ "wan22-latents" "wan22-text" ];
    after = [ "train:step2-reviewed" ];
    needs = [ "gpu" ];
  };
  "train:step4-ltx2-preprocess" = {
    description = "Encode clips, sound and captions for LTX-2, once.";
    stages = [ "ltx2-video-latents" "ltx2-audio-latents" "ltx2-text" "ltx2-preprocess" ];
    after = [ "train:step3-ltx2-data" ];
    needs = [ "gpu" ];
  };

  "train:step5-wan22-plan" = {
    description = "Write every step of the training down before any GPU is used.";
    stages = [ "wan22-plan" ];
    after = [ "train:step3-wan22-package" "train:step4-wan22-encode" ];
  };
  "train:step5-wan22-train" = {
    description = "Train the Wan2.2 LoRA in segments; a killed run goes on from the last finished one.";
    stages = [ "segment-plan" "wan22-train" "checkpoint" ];
    after = [ "train:step5-wan22-plan" ];
    needs = [ "gpu" ];
  };
  "train:step5-ltx2-plan" = {
    description = "Write every step of the LTX-2 training down before any GPU is used.";
    stages = [ "ltx2-plan" ];
    after = [ "train:step3-ltx2-data" "train:step4-ltx2-preprocess" ];
  };
  "train:step5-ltx2-train" = {
    description = "Train the LTX-2 LoRA in segments; a killed run goes on from the last finished one.";
    stages = [ "segment-plan" "ltx2-train" "checkpoint" ];
    after = [ "train:step5-ltx2-plan" ];
    needs = [ "gpu" ];
  };

  "train:step6-samples" = {
    description = "Make images and videos with the checkpoint.";
    stages = [ "samples" "ltx2-samples" ];
    after = [ "train:step5-wan22-train" "train:step5-ltx2-train" ];
    needs = [ "gpu" ];
  };
  "train:step6-report" = {
    description = "Put checkpoint, samples, report and provenance into one directory.";
    stages = [ "report" "bundle" ];
    after = [ "train:step6-samples" ];
  };
  "train:step6-audit" = {
    description = "Build every stage a second time in a clean store and compare.";
    inputs = { inherit pipeline; };
    run = [ [ "audit" "{pipeline}" ] ];
    needs = [ "gpu" ];
  };
}
