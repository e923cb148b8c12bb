#include "cli/completion.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>

#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "cli/app.h"
#include "cli/commands.h"
#include "cli/exit_codes.h"
#include "common/status.h"

namespace muster::cli {
namespace {

std::vector<std::string> FlagsOf(const Command& command) {
  std::vector<std::string> flags;
  for (const Option& option : command.options) {
    const std::vector<std::string> names = absl::StrSplit(option.names, ',');
    for (const std::string& name : names) {
      if (name[0] == '-') flags.push_back(name);
    }
  }
  return flags;
}

// Words that may follow a command: its children and flags, and the global flags.
std::vector<std::string> WordsOf(const Command& root, const Command& command) {
  std::vector<std::string> words;
  for (const Command& child : command.children) words.push_back(child.name);
  for (const std::string& flag : FlagsOf(command)) words.push_back(flag);
  if (&command != &root) {
    for (const std::string& flag : FlagsOf(root)) words.push_back(flag);
  }
  words.push_back("--help");
  return words;
}

// Shell cases "path) words", one per command, of which zsh understands bash's.
std::string BashCases(const Command& root, const Command& command, const std::string& path) {
  std::string cases =
      fmt::format("    '{}') words='{}' ;;\n", path, fmt::join(WordsOf(root, command), " "));
  for (const Command& child : command.children) {
    cases += BashCases(root, child, path.empty() ? child.name : path + " " + child.name);
  }
  return cases;
}

std::string BashScript(const Command& root) {
  return R"(# muster completion; load with: source <(muster completion bash)
_muster() {
  local path='' word words=''
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in
      -*) ;;
      *) case " $(_muster_words "$path") " in
           *" $word "*) path="${path:+$path }$word" ;;
         esac ;;
    esac
  done
  words=$(_muster_words "$path")
  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))
}
_muster_words() {
  local words=''
  case "$1" in
)" + BashCases(root, root, "") +
         R"(  esac
  echo "$words"
}
complete -o default -F _muster muster
)";
}

void FishLines(const Command& command, const std::string& condition, std::string* out) {
  for (const Command& child : command.children) {
    *out += fmt::format("complete -c muster -n '{}' -a {} -d '{}'\n", condition, child.name,
                        absl::StrReplaceAll(child.summary, {{"'", "\\'"}}));
  }
  for (const std::string& flag : FlagsOf(command)) {
    const bool is_long = flag.rfind("--", 0) == 0;
    *out += fmt::format("complete -c muster -n '{}' -{} {}\n", condition, is_long ? "l" : "s",
                        flag.substr(is_long ? 2 : 1));
  }
}

std::string FishScript(const Command& root) {
  std::string out = "# muster completion; load with: muster completion fish | source\n";
  FishLines(root, "__fish_use_subcommand", &out);
  for (const Command& child : root.children) {
    FishLines(child, "__fish_seen_subcommand_from " + child.name, &out);
    for (const Command& grandchild : child.children) {
      FishLines(grandchild,
                fmt::format("__fish_seen_subcommand_from {}; and __fish_seen_subcommand_from {}",
                            child.name, grandchild.name),
                &out);
    }
  }
  return out;
}

}  // namespace

absl::StatusOr<std::string> CompletionScript(const Command& root, const std::string& shell) {
  if (shell == "bash") return BashScript(root);
  if (shell == "zsh") {
    return "# load with: source <(muster completion zsh)\nautoload -Uz bashcompinit && "
           "bashcompinit\n" +
           BashScript(root);
  }
  if (shell == "fish") return FishScript(root);
  return InvalidArgument("completion {}: no such shell; known: bash, zsh, fish", shell);
}

Command CompletionCommand(Session* session) {
  auto shell = std::make_shared<std::string>();
  Command command;
  command.name = "completion";
  command.summary = "Completion script for a shell";
  command.examples = R"(  source <(muster completion bash)
  muster completion fish > ~/.config/fish/completions/muster.fish)";
  command.options = {{"SHELL", shell.get(), "bash, zsh or fish", true, {"bash", "zsh", "fish"}}};
  command.run = [session, shell]() -> absl::StatusOr<int> {
    MUSTER_ASSIGN_OR_RETURN(const std::string script,
                            CompletionScript(MusterCommand(session), *shell));
    fmt::print("{}", script);
    return kExitOk;
  };
  return command;
}

}  // namespace muster::cli
