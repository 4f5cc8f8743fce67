# `packaging/release` fills in the address and the digest of the source archive. To install it from a local file:
#
#   brew install --build-from-source ./backscroll.rb
class Backscroll < Formula
  desc "Keeps your chat history: an archival sync daemon for Agora RTM and Web3MQ"
  homepage "@HOMEPAGE@"
  url "@URL@"
  sha256 "@SHA256@"
  license any_of: ["MIT", "Apache-2.0"]

  depends_on "rust" => :build

  def install
    # The commands that play a provider are for those who test the service.
    system "cargo", "install", "--profile", "dist", "--no-default-features", "--features", "parquet", *std_cargo_args
    generate_completions_from_executable(bin/"backscroll", "completions")
    (man1/"backscroll.1").write Utils.safe_popen_read(bin/"backscroll", "man")
    pkgshare.install "config.toml", "docs"
  end

  test do
    (testpath/"config.toml").write <<~TOML
      [database]
      url = "sqlite://archive.db"
      [[agora]]
      name = "shop"
      app_id = "a"
      customer_id = "c"
      customer_secret = { env = "NONE" }
      streams = [ { destination = "lobby" } ]
    TOML
    system bin/"backscroll", "migrate"
    assert_match "0", shell_output("#{bin}/backscroll sql --format csv 'SELECT count(*) FROM archive'")
  end
end
