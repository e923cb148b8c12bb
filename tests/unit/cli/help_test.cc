// Every command teaches, and can be completed.
#include <gtest/gtest.h>

#include "cli/app.h"
#include "cli/completion.h"
#include "cli/exit_codes.h"

namespace muster::cli {
namespace {

void ForEach(const Command& command, std::vector<std::string> path,
             const std::function<void(const Command&, const std::vector<std::string>&)>& visit) {
  visit(command, path);
  for (const Command& child : command.children) {
    path.push_back(child.name);
    ForEach(child, path, visit);
    path.pop_back();
  }
}

TEST(Help, OfEveryCommandShowsAnExampleOfIt) {
  Session session;
  const Command root = MusterCommand(&session);
  int commands = 0;
  ForEach(root, {}, [&](const Command& command, const std::vector<std::string>& path) {
    std::string words = "muster";
    for (const std::string& word : path) words += " " + word;
    EXPECT_NE(command.examples.find(words), std::string::npos) << words;
    const std::string help = HelpText(root, path);
    EXPECT_NE(help.find(command.examples), std::string::npos) << words << "\n" << help;
    EXPECT_NE(help.find(command.summary), std::string::npos) << words;
    for (const Option& option : command.options) EXPECT_FALSE(option.help.empty()) << words;
    EXPECT_TRUE(command.run || !command.children.empty()) << words;
    ++commands;
  });
  EXPECT_GE(commands, 42);
}

TEST(Completion, KnowsEveryCommandInEveryShell) {
  Session session;
  const Command root = MusterCommand(&session);
  for (const std::string shell : {"bash", "zsh", "fish"}) {
    const auto script = CompletionScript(root, shell);
    ASSERT_TRUE(script.ok());
    ForEach(root, {}, [&](const Command& command, const std::vector<std::string>& path) {
      EXPECT_NE(script->find(command.name), std::string::npos) << shell << " " << path.size();
    });
  }
  EXPECT_FALSE(CompletionScript(root, "csh").ok());
}

struct UsageCase {
  const char* name;
  std::vector<const char*> words;
  int code;
};

TEST(RunCli, ExitCodesOfWhatNeedsNoCoordinator) {
  const UsageCase cases[] = {
      {"help", {"muster", "--help"}, kExitOk},
      {"help of a command", {"muster", "node", "drain", "--help"}, kExitOk},
      {"nothing", {"muster"}, kExitUsage},
      {"no such command", {"muster", "sumbit"}, kExitUsage},
      {"no such flag", {"muster", "list", "--colour"}, kExitUsage},
      {"a noun alone", {"muster", "node"}, kExitUsage},
      {"no such output", {"muster", "list", "-o", "xml"}, kExitUsage},
      {"a bad duration", {"muster", "list", "--deadline", "soon"}, kExitUsage},
      {"a bad address", {"muster", "list", "--coordinator", "nowhere"}, kExitUsage},
      {"an axis without size", {"muster", "scale", "7", "data"}, kExitUsage},
      {"an axis of size nothing", {"muster", "scale", "7", "data="}, kExitUsage},
      {"an axis of no name", {"muster", "scale", "7", "=8"}, kExitUsage},
      {"an axis of size 0", {"muster", "scale", "7", "data=0"}, kExitUsage},
      {"no axis", {"muster", "scale", "7"}, kExitUsage},
      {"nothing to save", {"muster", "save"}, kExitUsage},
      {"two jobs to save", {"muster", "save", "7", "8"}, kExitUsage},
      {"a time limit for no wait", {"muster", "save", "7", "--timeout", "1m"}, kExitUsage},
      {"a bad time limit", {"muster", "save", "7", "--wait", "--timeout", "soon"}, kExitUsage},
      {"saves with a step", {"muster", "save", "7", "--step", "3"}, kExitUsage},
      {"a weight of text", {"muster", "queue", "set", "a", "--weight", "heavy"}, kExitUsage},
      {"a weight of 0", {"muster", "queue", "set", "a", "--weight", "0"}, kExitUsage},
      {"an endless weight", {"muster", "queue", "set", "a", "--weight", "inf"}, kExitUsage},
      {"a negative quota", {"muster", "queue", "set", "a", "--quota", "-1"}, kExitUsage},
      {"a limit too large", {"muster", "queue", "set", "a", "--limit", "4294967296"}, kExitUsage},
      {"a fraction of a priority",
       {"muster", "queue", "set", "a", "--priority", "0.5"},
       kExitUsage},
      {"a bad queue name", {"muster", "queue", "set", "Team A"}, kExitUsage},
      {"a negative priority",
       {"muster", "queue", "set", "a", "--priority", "-5", "--limit", "none", "--coordinator",
        "127.0.0.1:1", "--deadline", "300ms"},
       kExitUnavailable},
      {"an array to follow",
       {"muster", "submit", "configs/array-sweep.yaml", "--watch"},
       kExitUsage},
      {"a bad label",
       {"muster", "dev", "up", "--state", "no/such", "--label", "zone=a"},
       kExitUsage},
      {"a bad goal", {"muster", "wait", "7", "--for", "lunch"}, kExitUsage},
      {"a good file", {"muster", "validate", "configs/gpt-stdlib.yaml"}, kExitOk},
      {"the global option last",
       {"muster", "validate", "configs/gpt-stdlib.yaml", "-o", "yaml"},
       kExitOk},
      {"no such file", {"muster", "validate", "no/such.yaml"}, kExitNotFound},
      {"a folder", {"muster", "validate", "configs"}, kExitUsage},
      {"a file that is no job", {"muster", "validate", "CMakePresets.json"}, kExitUsage},
      {"no such checkpoint", {"muster", "ckpt", "verify", "no/such"}, kExitNotFound},
      {"no such data", {"muster", "data", "show", "no/such"}, kExitNotFound},
      {"no dev cluster", {"muster", "dev", "status", "--state", "no/such"}, kExitNotFound},
      {"nothing to end", {"muster", "dev", "down", "--state", "no/such"}, kExitOk},
      {"an unreachable coordinator",
       {"muster", "list", "--coordinator", "127.0.0.1:1", "--deadline", "300ms"},
       kExitUnavailable},
  };
  for (const UsageCase& c : cases) {
    EXPECT_EQ(RunCli(static_cast<int>(c.words.size()), c.words.data()), c.code) << c.name;
  }
}

}  // namespace
}  // namespace muster::cli
