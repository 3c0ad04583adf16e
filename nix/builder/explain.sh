# What a failed `nix build` lacked: Nix itself only says which features this machine is without. Sourced by nixw.
explain_builders() {
  missing=$(nix build --dry-run "$@" 2>&1 | sed -n 's|^ *\(/nix/store/[^ ]*\.drv\)$|\1|p')
  stages=""
  for derivation in $missing; do
    case $(cat "$derivation" 2>/dev/null) in
      *'requiredSystemFeatures\":[\"cuda\"'*) stages="$stages ${derivation#*-reel-}" ;;
    esac
  done
  # shellcheck disable=SC2086
  set -- $stages
  [ $# -gt 0 ] || return 0
  builders=$(nix show-config 2>/dev/null | sed -n 's/^builders = //p')
  [ "$builders" ] || builders=$(nix config show 2>/dev/null | sed -n 's/^builders = //p')
  # What Nix names where nobody set anything.
  [ "$builders" != @/etc/nix/machines ] || [ -s /etc/nix/machines ] || builders=""
  waits="${1%.drv} waits" needs="${1%.drv} needs"
  [ $# = 1 ] || waits="${1%.drv} and $(($# - 1)) more wait" needs="${1%.drv} and $(($# - 1)) more need"
  if [ "$builders" ]; then
    say "stage $waits for a CUDA builder; ./nixw run .#reel -- builder explain TARGET says what is wrong with yours"
  else
    say "stage $needs a CUDA builder and none is registered: rent one or register your own, see docs/builder.md, then run the same command again"
  fi
}
