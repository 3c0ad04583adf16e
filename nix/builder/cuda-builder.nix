# cuda-builder : NixOS module
#
# A machine that builds what needs `cuda` and nothing else: driver without a screen, the GPU mapped into every sandbox by
# fixed paths, and one user who may only talk to Nix. Which card it has decides driver branch and kernel module.
#
# Example: { reelgraph.cudaBuilder = { gpu = "rtx-6000-ada"; authorizedKeys = [ "ssh-ed25519 …" ]; }; }
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.reelgraph.cudaBuilder;
  gpus = builtins.listToAttrs (
    map (gpu: {
      name = gpu.class;
      value = gpu;
    }) (builtins.fromJSON (builtins.readFile ../../python/reelgraph/builder/gpus.json)).gpus
  );
  gpu = gpus.${cfg.gpu};
  user = "reel-builder";
  driver = "/run/opengl-driver";
  # The folder is a symbolic link into the store; named like this, Nix maps everything that it refers to as well.
  driverInStore = config.systemd.tmpfiles.settings.graphics-driver.${driver}."L+".argument;
  # A path that is not there is left out of the sandbox, so cards that this machine lacks do no harm.
  devices = map (name: "/dev/${name}?") (
    [
      "nvidiactl"
      "nvidia-modeset"
      "nvidia-uvm"
      "nvidia-uvm-tools"
    ]
    ++ builtins.genList (index: "nvidia${toString index}") 8
  );
  # A release that nixpkgs once had is still an attribute there, and one that throws.
  wantedNix = builtins.tryEval (
    pkgs.nixVersions."nix_${builtins.replaceStrings [ "." ] [ "_" ] cfg.nixRelease}" or pkgs.nix
  );
  # Nothing but Nix's protocol, whatever the client asks for.
  onlyNix = pkgs.writeShellScript "reel-builder-only-nix" ''
    case "$SSH_ORIGINAL_COMMAND" in
      "nix-daemon --stdio") exec ${config.nix.package}/bin/nix-daemon --stdio ;;
      *) echo "this user may only run: nix-daemon --stdio" >&2; exit 1 ;;
    esac
  '';
in
{
  options.reelgraph.cudaBuilder = {
    gpu = lib.mkOption {
      type = lib.types.enum (builtins.attrNames gpus);
      description = "GPU class as in python/reelgraph/builder/gpus.json.";
    };
    authorizedKeys = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      description = "Public keys of those who may build here.";
    };
    administratorKeys = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ ];
      description = "Public keys of those who may log in as root; nobody may by default.";
    };
    nixRelease = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = null;
      example = "2.34";
      description = "Release of Nix to run, that of the machines that build here; nixpkgs' default where it has no such one.";
    };
    jobs = lib.mkOption {
      type = lib.types.ints.positive;
      default = 1;
      description = "Builds at a time; one for each card.";
    };
  };

  config = {
    services.xserver.videoDrivers = [ "nvidia" ];
    hardware.graphics.enable = true;
    hardware.nvidia = {
      package = config.boot.kernelPackages.nvidiaPackages.${gpu.driver};
      open = gpu.open_kernel_module;
      nvidiaPersistenced = true;
      nvidiaSettings = false;
    };
    boot.kernelModules = [ "nvidia" ];
    nixpkgs.config.allowUnfreePredicate =
      package:
      builtins.elem (lib.getName package) [
        "nvidia-x11"
        "nvidia-kernel-modules"
        "nvidia-persistenced"
        "nvidia-settings"
      ];

    # Both sides of an ssh-ng connection should be of one release.
    nix.package = if cfg.nixRelease != null && wantedNix.success then wantedNix.value else pkgs.nix;
    nix.settings = {
      experimental-features = [
        "nix-command"
        "flakes"
        "ca-derivations"
      ];
      sandbox = true;
      sandbox-fallback = false;
      extra-sandbox-paths = [ "${driver}=${driverInStore}" ] ++ devices;
      system-features = [
        "big-parallel"
        "benchmark"
        "ca-derivations"
        "cuda"
      ];
      max-jobs = cfg.jobs;
      # Inputs that were built elsewhere have no signature.
      trusted-users = [
        "root"
        user
      ];
      builders-use-substitutes = true;
    };
    # Half of a training must not be collected under a running job.
    nix.gc.automatic = false;

    users.mutableUsers = false;
    # A machine that lives for hours needs no way in beside Nix; its rescue system is the provider's.
    users.allowNoPasswordLogin = cfg.administratorKeys == [ ];
    users.groups.${user} = { };
    users.users.${user} = {
      isSystemUser = true;
      group = user;
      useDefaultShell = true;
      openssh.authorizedKeys.keys = map (key: ''restrict,command="${onlyNix}" ${key}'') cfg.authorizedKeys;
    };
    users.users.root.openssh.authorizedKeys.keys = cfg.administratorKeys;

    services.openssh = {
      enable = true;
      openFirewall = true;
      hostKeys = [
        {
          path = "/etc/ssh/ssh_host_ed25519_key";
          type = "ed25519";
        }
      ];
      settings = {
        PasswordAuthentication = false;
        KbdInteractiveAuthentication = false;
        PermitRootLogin = if cfg.administratorKeys == [ ] then "no" else "prohibit-password";
        MaxStartups = "64:30:128";
        ClientAliveInterval = 30;
        ClientAliveCountMax = 6;
      };
    };
    networking.firewall.enable = true;

    assertions = [
      {
        assertion = cfg.authorizedKeys != [ ];
        message = "reelgraph.cudaBuilder.authorizedKeys is empty: nobody could build on this machine";
      }
    ];
  };
}
