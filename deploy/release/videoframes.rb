# The Homebrew formula. scripts/package-formula replaces the words between @.
class Videoframes < Formula
  desc "Exact frames from videos, and a worker for jobs from a queue"
  homepage "@homepage@"
  url "@url@"
  sha256 "@sha256@"
  license any_of: ["MIT", "Apache-2.0"]

  depends_on "rust" => :build
  depends_on "ffmpeg"

  def install
    # The sources contain no repository that names the commit.
    ENV["VF_BUILD_COMMIT"] = "@commit@"
    # rustup would download the pinned release.
    rm "rust-toolchain.toml"
    system "cargo", "install", *std_cargo_args(path: "videoframes-cli"), "--features", "s3"
    system "cargo", "install", *std_cargo_args(path: "videoframes-worker")
    %w[vf vf-worker].each do |program|
      mkdir_p "man"
      system bin/program, "man", "man"
      generate_completions_from_executable(bin/program, "completions")
    end
    man1.install Dir["man/*.1"]
    pkgetc.install "deploy/systemd/worker.env.example"
  end

  service do
    run [opt_bin/"vf-worker", "--local", var/"videoframes", "run"]
    keep_alive true
    # launchd does not search the folders of Homebrew.
    environment_variables PATH: std_service_path_env
    log_path var/"log/videoframes.log"
    error_log_path var/"log/videoframes.log"
  end

  test do
    system "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=64x64:rate=5:duration=2", "clip.mp4"
    system bin/"vf", "extract", "clip.mp4", "--fps", "1", "-o", "frames.zip"
    assert_path_exists testpath/"frames.zip"
    assert_match version.to_s, shell_output("#{bin}/vf-worker -V")
  end
end
