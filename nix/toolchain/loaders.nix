# loaders : { <system> = file name of glibc's dynamic loader; }
{
  x86_64-linux = "ld-linux-x86-64.so.2";
  aarch64-linux = "ld-linux-aarch64.so.1";
}
