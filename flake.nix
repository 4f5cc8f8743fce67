{
  description = "Keeps your chat history: an archival sync daemon for Agora RTM and Web3MQ";

  # A nixpkgs that has Rust 1.95 or newer.
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = { self, nixpkgs }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" "aarch64-darwin" "x86_64-darwin" ];
      each = make: nixpkgs.lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});
    in
    {
      packages = each (pkgs: {
        default = pkgs.rustPlatform.buildRustPackage {
          pname = "backscroll";
          version = (fromTOML (builtins.readFile ./Cargo.toml)).package.version;
          src = self;
          cargoLock.lockFile = ./Cargo.lock;
          cargoBuildFlags = [ "--bin" "backscroll" ];
          buildType = "dist";
          BACKSCROLL_COMMIT = self.rev or self.dirtyRev or "";
          nativeBuildInputs = [ pkgs.installShellFiles ];
          # The tests start Postgres and a browser.
          doCheck = false;
          postInstall = ''
            $out/bin/backscroll man >backscroll.1
            installManPage backscroll.1
            for shell in bash zsh fish; do $out/bin/backscroll completions $shell >backscroll.$shell; done
            installShellCompletion backscroll.{bash,zsh,fish}
            install -D -m 644 -t $out/share/backscroll config.toml
          '';
          meta = {
            description = "Archival sync daemon for Agora RTM and Web3MQ";
            license = with pkgs.lib.licenses; [ mit asl20 ];
            mainProgram = "backscroll";
          };
        };
      });
    };
}
