# Runs a Homebrew formula without Homebrew: checks its fields, installs it below a folder, and runs its test.
#
#   ruby formula.rb FORMULA SOURCES FOLDER
#
# The methods are those of Homebrew (https://docs.brew.sh/rubydoc/Formula) as far as the formula uses them. An unknown method fails.
require "digest"
require "fileutils"
require "open3"
require "pathname"

FORMULA, SOURCES, FOLDER = ARGV.map { |name| Pathname(name).realpath }

def refuse(message)
  abort "error: #{message}"
end

class Pathname
  # Homebrew installs files into folders by this method.
  def install(*files)
    mkpath
    files.flatten.each { |file| FileUtils.cp_r(file, self) }
  end
end

class Formula
  include FileUtils

  FIELDS = {}
  DEPENDENCIES = {}

  class << self
    %i[desc homepage url sha256].each do |field|
      define_method(field) { |value = nil| value ? FIELDS[field] = value : FIELDS[field] }
    end

    def license(value)
      FIELDS[:license] = value
    end

    def depends_on(dependency)
      name, kind = dependency.is_a?(Hash) ? dependency.first : [dependency, :run]
      DEPENDENCIES[name] = kind
    end

    def service(&block)
      FIELDS[:service] = block
    end

    def test(&block)
      define_method(:run_test, &block)
    end

    def inherited(formula)
      super
      FIELDS[:class] = formula
    end
  end

  attr_reader :prefix, :testpath

  def initialize
    @prefix = FOLDER/"cellar"
    @testpath = FOLDER/"test"
    @testpath.mkpath
  end

  def bin = prefix/"bin"
  def man1 = prefix/"share/man/man1"
  def opt_bin = bin
  def std_service_path_env = "/opt/homebrew/bin:/usr/bin:/bin"
  def etc = FOLDER/"etc"
  def pkgetc = etc/"videoframes"
  def var = FOLDER/"var"
  def version = FIELDS[:url][%r{/releases/download/v([^/]+)/}, 1]

  def system(*command)
    command = command.map(&:to_s)
    puts "==> #{command.join(" ")}"
    Kernel.system(*command) or refuse("'#{command.first}' failed: #{$?}")
  end

  def shell_output(command, status = 0)
    output, done = Open3.capture2(command)
    refuse("'#{command}' ended with #{done}") unless done.exitstatus == status
    output
  end

  def std_cargo_args(path: ".")
    ["--locked", "--root=#{prefix}", "--path=#{path}", "--debug"]
  end

  def generate_completions_from_executable(program, command)
    name = program.basename
    {
      "bash" => prefix/"etc/bash_completion.d/#{name}",
      "zsh" => prefix/"share/zsh/site-functions/_#{name}",
      "fish" => prefix/"share/fish/vendor_completions.d/#{name}.fish",
    }.each do |shell, file|
      file.dirname.mkpath
      file.write(shell_output("#{program} #{command} #{shell}"))
    end
  end

  def assert_path_exists(path)
    refuse("there is no '#{path}'") unless path.exist?
  end

  def assert_match(expected, text)
    refuse("'#{text}' lacks '#{expected}'") unless text.match?(Regexp.new(Regexp.escape(expected)))
  end
end

# Records the settings of the service.
class Service
  attr_reader :command, :variables

  def initialize(formula) = @formula = formula
  def environment_variables(variables) = @variables = variables
  def run(command) = @command = command
  def keep_alive(_) = nil
  def log_path(_) = nil
  def error_log_path(_) = nil
  def method_missing(name, ...) = @formula.public_send(name, ...)
  def respond_to_missing?(name, all = false) = @formula.respond_to?(name, all)
end

load FORMULA.to_s
fields = Formula::FIELDS
missing = %i[desc homepage url sha256 license service].reject { |field| fields[field] }
refuse("the formula has no #{missing.join(", ")}") unless missing.empty?
refuse("the class has another name: #{fields[:class]}") unless fields[:class].name == "Videoframes"
refuse("the description is not as Homebrew requires") if fields[:desc].length > 80 || fields[:desc].match?(/\A(An?|The) |\.\z/)
refuse("addresses need https") unless [fields[:url], fields[:homepage]].all? { |each| each.start_with?("https://") }
refuse("a word between @ is left") if FORMULA.read.match?(/@\w+@/)
refuse("the checksum is not that of the sources") unless fields[:sha256] == Digest::SHA256.file(SOURCES).hexdigest
refuse("the file name is not that of the sources") unless fields[:url].end_with?("/#{SOURCES.basename}")
refuse("ffmpeg is needed at run time") unless Formula::DEPENDENCIES["ffmpeg"] == :run

formula = fields[:class].new
sources = FOLDER/"sources"
sources.mkpath
system("tar", "-C", sources.to_s, "--strip-components=1", "-xzf", SOURCES.to_s) or refuse("the sources cannot be unpacked")
Dir.chdir(sources) { formula.install }
Dir.chdir(formula.testpath) { formula.run_test }

service = Service.new(formula)
service.instance_eval(&fields[:service])
program = service.command.first
refuse("the service runs no program") unless program.executable?
refuse("the service does not find ffmpeg") unless service.variables&.key?(:PATH)
files = %w[bin/vf bin/vf-worker share/man/man1/vf.1 share/man/man1/vf-worker.1 share/zsh/site-functions/_vf etc/bash_completion.d/vf-worker]
files.each { |file| formula.assert_path_exists(formula.prefix/file) }
puts "formula: passed"
