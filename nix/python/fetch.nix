# fetch : { script, toolchain, python } -> { name, version, sha256, form ? "wheel" } -> derivation (one file)
#
# One wheel or source distribution as a fixed-output derivation whose hash is the lock's hash, fetched by package name
# with pip from whatever index this machine is configured for. Only fixed outputs see these variables.
#
# Example: fetch { name = "click"; version = "8.5.1"; sha256 = "…"; }
{
  script,
  toolchain,
  python,
}:
{
  name,
  version,
  sha256,
  form ? "wheel",
}:
script {
  name = "${name}-${version}.${if form == "wheel" then "whl" else "tar.gz"}";
  file = ./fetch.py;
  inherit python;
  requirement = "${name}==${version} --hash=sha256:${sha256}";
  inherit form;
  inherit (toolchain) pip certificates;
  outputHashMode = "flat";
  outputHashAlgo = "sha256";
  outputHash = sha256;
  preferLocalBuild = true;
  impureEnvVars = [
    "REELGRAPH_PIP_CONFIG_SYSTEM"
    "REELGRAPH_PIP_CONFIG_USER"
    "PIP_INDEX_URL"
    "PIP_EXTRA_INDEX_URL"
    "PIP_TRUSTED_HOST"
    "PIP_PROXY"
    "PIP_DEFAULT_TIMEOUT"
    "http_proxy"
    "https_proxy"
    "no_proxy"
  ];
}
