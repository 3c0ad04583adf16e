# licences : { materials ? , profile ? , terms ? , works ? , territories ? } -> { verdicts, permit, mark, reached, inPackages }
#
# The licence gate. A work is a model, film, voice or font, with the name of its licence; a licence is its terms as data;
# the profile says who we are. What a stage reaches stands beside its derivation (`works`), never in it, so editing a
# licence or the profile rebuilds nothing.
#
# Example: nix-instantiate --eval --strict --json nix/licences.nix -A verdicts
{
  materials ? ../materials,
  profile ? builtins.fromJSON (builtins.readFile (materials + "/profile.json")),
  terms ? import ./json-folder.nix (materials + "/licences/terms"),
  works ? import ./json-folder.nix (materials + "/licences/works") // modelWorks,
  territories ? builtins.fromJSON (builtins.readFile (materials + "/licences/territories.json")),
  modelWorks ? builtins.mapAttrs (_: model: {
    inherit (model) title licence attribution;
    kind = "model";
    source = if model ? wheel then "the wheel of ${model.wheel.name} ${model.wheel.version}" else model.repository;
    package = null;
    to_check = model.to_check;
  }) (import ./json-folder.nix (materials + "/models")),
}:
let
  countries =
    where: codes:
    builtins.concatMap (
      code:
      if territories.groups ? ${code} then
        territories.groups.${code}
      else if builtins.elem code territories.countries then
        [ code ]
      else
        throw "reelgraph: ${where}: '${code}' is not a country of ISO 3166-1 (two letters) or one of ${toString (builtins.attrNames territories.groups)}"
    ) codes;
  profileCountries = countries "materials/profile.json: territories" profile.territories;

  # What the profile does not state counts as above every limit.
  isAtLeast = limit: number: number == null || number >= limit;
  isMoreThan = limit: number: number == null || number > limit;
  stated = number: if number == null then "the profile does not state ours" else "the profile states ${toString number}";

  # Each term that stands in the way, in the order of the licence's fields.
  blockersOf =
    name: licence:
    let
      shut = builtins.filter (code: builtins.elem code profileCountries) (
        countries "materials/licences/terms/${name}.json: excluded_territories" licence.excluded_territories
      );
      revenue = licence.revenue_limit;
      checks = [
        {
          term = "checked";
          blocks = !licence.checked;
          because = "nobody has read its licence yet";
        }
        {
          term = "published";
          blocks = !licence.published;
          because = "its weights are not published";
        }
        {
          term = "agreement_required";
          blocks = licence.agreement_required;
          because = "it may be used under a signed agreement only";
        }
        {
          term = "commercial_use";
          blocks = profile.commercial && !licence.commercial_use;
          because = "commercial use is not allowed, and the profile is commercial";
        }
        {
          term = "revenue_limit";
          blocks =
            revenue != null
            && (profile.commercial || !revenue.only_commercial_use)
            && isAtLeast revenue.usd profile.yearly_revenue_usd;
          because = "free only below ${toString revenue.usd} USD of yearly revenue, and ${stated profile.yearly_revenue_usd}";
        }
        {
          term = "monthly_users_limit";
          blocks = licence.monthly_users_limit != null && isMoreThan licence.monthly_users_limit profile.monthly_users;
          because = "free only up to ${toString licence.monthly_users_limit} monthly users, and ${stated profile.monthly_users}";
        }
        {
          term = "excluded_territories";
          blocks = shut != [ ];
          because = "not licensed in ${toString licence.excluded_territories}, and the profile has ${toString profile.territories}";
        }
        {
          term = "share_alike";
          blocks = licence.share_alike && !profile.accepts_share_alike;
          because = "what is made with it must carry the same licence, and the profile does not accept that";
        }
      ];
    in
    map (check: {
      inherit (check) term because;
      where = licence.clauses.${check.term}.where or licence.title;
    }) (builtins.filter (check: check.blocks) checks);

  judge =
    name: work:
    let
      licence =
        terms.${work.licence}
          or (throw "reelgraph: '${name}': its licence '${work.licence}' is not in materials/licences/terms");
      agreement = work.agreement or licence.agreement;
      isHeld = agreement != null && profile.agreements ? ${agreement.id};
      blockers = if isHeld then [ ] else blockersOf work.licence licence;
    in
    {
      inherit name agreement blockers;
      inherit (work)
        title
        kind
        licence
        attribution
        source
        ;
      inherit (licence) notice obligations clauses;
      licence_title = licence.title;
      licence_source = licence.source;
      share_alike = licence.share_alike;
      allowed = blockers == [ ];
      held = if isHeld then agreement.id else null;
      because = builtins.concatStringsSep "; " (map (blocker: "${blocker.because} (${blocker.where})") blockers);
      lifted_by =
        if agreement != null then
          "the agreement '${agreement.id}' with ${agreement.party} in the profile's agreements"
        else if blockers != [ ] && builtins.all (blocker: blocker.term == "checked") blockers then
          "reading it and setting 'checked' in materials/licences/terms/${work.licence}.json"
        else
          null;
      to_check = licence.to_check ++ (work.to_check or [ ]);
    };

  verdicts = builtins.mapAttrs judge works;
  verdictOf =
    name: verdicts.${name} or (throw "reelgraph: the work '${name}' is in neither materials/licences/works nor materials/models; say under whose terms it may be used in materials/licences/works/${name}.json, as docs/licences.md shows, and let git know it");

  refusal =
    subject: verdict:
    "reelgraph: ${subject} reaches ${verdict.kind} '${verdict.name}' (${verdict.title}, ${verdict.licence_title}), which materials/profile.json may not use: ${verdict.because}"
    + (if verdict.lifted_by == null then "" else "; lifted by ${verdict.lifted_by}");

  sorted = names: builtins.attrNames (builtins.listToAttrs (map (name: { inherit name; value = null; }) names));
in
{
  inherit verdicts;

  # permit : subject -> [ work's name ] -> value -> value, or an error that names every work in the way.
  permit =
    subject: names: value:
    let
      blocked = builtins.filter (verdict: !verdict.allowed) (map verdictOf names);
    in
    if blocked == [ ] then value else throw (builtins.concatStringsSep "\n" (map (refusal subject) blocked));

  # mark : [ work's name ] -> derivation -> derivation; a file that a stage reads says so which works it holds.
  mark = names: value: value // { works = sorted names; };

  # reached : [ value ] -> [ work's name ]; what stages, files and attribute sets of these reach.
  reached =
    values:
    let
      of =
        value:
        if !builtins.isAttrs value then
          [ ]
        else if value ? works then
          value.works
        else if value ? type || value ? kind then
          [ ]
        else
          builtins.concatMap of (builtins.attrValues value);
    in
    sorted (builtins.concatMap of values);

  # inPackages : [ package's name ] -> [ work's name ]; weights and fonts that Python packages carry.
  inPackages = packages: builtins.filter (name: builtins.elem (works.${name}.package) packages) (builtins.attrNames works);
}
