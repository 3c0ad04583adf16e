# Which masters are one episode under another title or in another language, and what recurs in all of them.
{
  name = "variants";
  kind = "variants";
  environment = "text";
  inputs = {
    fingerprints.each = "fingerprints";
    texts.each = "texts";
  };
  schemas = [ "variants" ];
  modules = [
    "media/fingerprints.py"
    "media/matches.py"
    "media/variants.py"
  ];
}
