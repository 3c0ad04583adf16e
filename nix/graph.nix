# mkPipeline : { mkStage, stages, links } -> specification -> pipeline
#
# THE picture: masters -> one chain an episode -> dataset -> segments of training -> checkpoint -> report.
#
#   specification  { name, episodes, bible, models, segments, parameters }
#     episodes     { <id> = { master, scenes, labels, overrides, parameters ? { } }; }
#     models       { speech, wan22 }
#     segments     how many derivations the training is cut into
#     parameters   { <stage> = { … }; }; an episode's own come on top
#
# Example: mkPipeline (import ./pipelines/smoke.nix { … })
{
  mkStage,
  stages,
  links,
}:
{
  name,
  episodes,
  bible,
  models,
  segments,
  parameters,
}:
let
  closure = import ./closure.nix;

  stageOf =
    set: own: stage: inputs:
    mkStage {
      definition = stages.${stage};
      inherit set inputs;
      parameters = (parameters.${stage} or { }) // (own.${stage} or { });
    };
  perDataset = stageOf name { };

  theBible = perDataset "bible" { inherit bible; };

  episode =
    id:
    {
      master,
      scenes,
      labels,
      overrides,
      parameters ? { },
    }:
    let
      perEpisode = stageOf id parameters;
      source = perEpisode "source" { inherit master; };
      shots = perEpisode "shots" { inherit master source; };
      clips = perEpisode "clips" { inherit master source shots; };
      transcript = perEpisode "transcript-base" {
        inherit master source;
        model = models.speech;
      };
      shot_reference = perEpisode "shot-reference" { inherit shots transcript; };
      scene_context = perEpisode "scene-context" {
        inherit shot_reference scenes;
        bible = theBible;
      };
      caption = perEpisode "caption" {
        inherit clips scene_context labels;
        bible = theBible;
      };
      reviewed = perEpisode "reviewed" {
        inherit clips overrides;
        captions = caption;
        bible = theBible;
      };
    in
    {
      inherit
        master
        source
        shots
        clips
        caption
        reviewed
        ;
      transcript-base = transcript;
      shot-reference = shot_reference;
      scene-context = scene_context;
      latents = perEpisode "wan22-latents" {
        inherit clips;
        model = models.wan22;
      };
      text = perEpisode "wan22-text" {
        captions = reviewed;
        model = models.wan22;
      };
    };

  chains = builtins.mapAttrs episode episodes;
  each = stage: builtins.mapAttrs (_: chain: chain.${stage}) chains;

  package = perDataset "wan22-package" {
    clips = each "clips";
    captions = each "reviewed";
  };
  encoded = {
    latents = each "latents";
    text = each "text";
  };
  plan = perDataset "wan22-plan" (encoded // { inherit package; });

  segment =
    index:
    let
      perSegment = stageOf "${name}-segment-${toString index}" {
        segment-plan.segment = index;
        wan22-train.segment = index;
      };
    in
    perSegment "wan22-train" (
      encoded
      // {
        plan = perSegment "segment-plan" { inherit plan; };
        model = models.wan22;
        previous = if index == 0 then null else trained.${toString (index - 1)};
      }
    );
  trained = builtins.listToAttrs (
    builtins.genList (index: {
      name = toString index;
      value = segment index;
    }) segments
  );

  # Two digits, so that their order is the order of their names.
  numbered = builtins.listToAttrs (
    builtins.genList (index: {
      name = (if index < 10 then "0" else "") + toString index;
      value = trained.${toString index};
    }) segments
  );
  checkpoint = perDataset "checkpoint" {
    segments = numbered;
    inherit plan package;
    model = models.wan22;
  };
  samples = perDataset "samples" {
    inherit checkpoint package;
    model = models.wan22;
  };
  report = perDataset "report" {
    source = each "source";
    shots = each "shots";
    clips = each "clips";
    transcript = each "transcript-base";
    captions = each "reviewed";
    inherit
      package
      plan
      checkpoint
      samples
      ;
    model = models.wan22;
  };

  provenance = closure [
    checkpoint
    samples
    report
  ];
  bundle = perDataset "bundle" {
    inherit
      checkpoint
      samples
      report
      provenance
      ;
  };
  everything = closure [ bundle ];
in
{
  episodes = chains;
  bible = theBible;
  dataset.wan22 = package;
  model = models.wan22;
  latents = links "${name}-latents" encoded.latents // encoded.latents;
  text = links "${name}-text" encoded.text // encoded.text;
  segments = trained;
  inherit
    plan
    checkpoint
    samples
    report
    bundle
    ;
  # Every stage by "<set>/<stage>", and the same as data for those who draw or compare it.
  stages = everything;
  graph = builtins.mapAttrs (_: stage: {
    inherit (stage)
      kind
      environment
      parameters
      edges
      ;
  }) everything;
}
