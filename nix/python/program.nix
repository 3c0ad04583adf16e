# program : { script, toolchain } -> { name, text } -> derivation
#
# bin/<name>: a POSIX shell script of the given text.
#
# Example: program { name = "hello"; text = "echo hello"; }
{ script, toolchain }:
{ name, text }:
script {
  name = "reel-program-${name}";
  file = ./program.py;
  program = name;
  text = "#!${toolchain.shell}\n${text}\n";
}
