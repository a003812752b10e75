class Coldcheck < Formula
  desc "{{.Summary}}"
  homepage "{{.Project}}"
  version "{{.Version}}"
  license "{{.License}}"

  on_macos do
    on_arm do
      url "{{.URL "darwin_arm64"}}"
      sha256 "{{.Sum "darwin_arm64"}}"
    end
    on_intel do
      url "{{.URL "darwin_amd64"}}"
      sha256 "{{.Sum "darwin_amd64"}}"
    end
  end

  on_linux do
    on_arm do
      url "{{.URL "linux_arm64"}}"
      sha256 "{{.Sum "linux_arm64"}}"
    end
    on_intel do
      url "{{.URL "linux_amd64"}}"
      sha256 "{{.Sum "linux_amd64"}}"
    end
  end

  def install
    bin.install "coldcheck"
    man1.install "man/coldcheck.1"
    bash_completion.install "completions/coldcheck.bash" => "coldcheck"
    zsh_completion.install "completions/_coldcheck"
    fish_completion.install "completions/coldcheck.fish"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/coldcheck version")
    assert_match "NOT READY", shell_output("#{bin}/coldcheck demo", 1)
  end
end
