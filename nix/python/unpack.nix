# unpack : script -> wheel -> derivation
#
# One wheel, unpacked once for every environment that has it: lib/python3.11/site-packages with bytecode, and bin.
script: wheel:
script {
  name = "reel-${builtins.replaceStrings [ ".whl" ] [ "" ] wheel.name}";
  file = ./unpack.py;
  inherit wheel;
}
