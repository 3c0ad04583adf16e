# machine : { disk, mac, firmware, ipv6, ... } -> NixOS module
#
# What one rented machine needs to start and be reached: a layout for one disk that either firmware boots, and a network
# by the card's own address. The data is machine.json as `reel builder install` writes it from the rescue system.
#
#   disk      stable name below /dev/disk/by-id; the others stay untouched
#   mac       of the network card that is up
#   firmware  "uefi" or "bios"; the layout serves both, the name is kept for the record
#   ipv6      address with prefix length, or null; IPv4 comes by DHCP
#   gpu, authorized_keys, nix_release  are for cuda-builder.nix
{
  disk,
  mac,
  ipv6,
  ...
}:
{ lib, modulesPath, ... }:
{
  imports = [ (modulesPath + "/installer/scan/not-detected.nix") ];

  disko.devices.disk.main = {
    type = "disk";
    device = disk;
    content = {
      type = "gpt";
      partitions = {
        bios = {
          size = "1M";
          type = "EF02";
        };
        esp = {
          size = "1G";
          type = "EF00";
          content = {
            type = "filesystem";
            format = "vfat";
            mountpoint = "/boot";
            mountOptions = [ "umask=0077" ];
          };
        };
        root = {
          size = "100%";
          content = {
            type = "filesystem";
            format = "ext4";
            mountpoint = "/";
            mountOptions = [ "noatime" ];
          };
        };
      };
    };
  };
  # disko names the disk with the BIOS partition to GRUB.
  boot.loader.grub = {
    enable = true;
    efiSupport = true;
    efiInstallAsRemovable = true;
  };
  boot.initrd.availableKernelModules = [
    "ahci"
    "nvme"
    "sd_mod"
    "xhci_pci"
  ];
  hardware.enableRedistributableFirmware = true;
  zramSwap.enable = true;

  networking.hostName = "reel-cuda-builder";
  networking.useDHCP = false;
  systemd.network = {
    enable = true;
    networks."10-uplink" = {
      matchConfig.MACAddress = mac;
      networkConfig.DHCP = "ipv4";
      networkConfig.IPv6AcceptRA = false;
      address = lib.optional (ipv6 != null) ipv6;
      # The provider's gateway; it sends no router advertisements.
      routes = lib.optional (ipv6 != null) { Gateway = "fe80::1"; };
    };
  };
}
