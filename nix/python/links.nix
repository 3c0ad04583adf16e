# links : script -> name -> { <entry> = path; } -> derivation
#
# A directory of symbolic links, for people who want several outputs under one name.
#
# Example: links "smoke-latents" { episode-1 = latents; }
script: name: entries:
script {
  name = "reel-${name}";
  file = ./links.py;
  names = builtins.attrNames entries;
  paths = builtins.attrValues entries;
}
