#include "cli/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <memory>

#include "cli/exit_codes.h"
#include "common/duration.h"

namespace muster::cli {
namespace {

// The CLI11 twin of a Command tree.
class Parser {
 public:
  explicit Parser(const Command& root) : app_(root.summary, root.name) {
    app_.set_help_all_flag("--help-all", "Help of every command")->group("");
    Fill(root, &app_);
  }

  CLI::App& app() { return app_; }

  // The innermost command that was named.
  const Command* Chosen() const {
    const CLI::App* app = &app_;
    while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
    return commands_.at(app);
  }

  const CLI::App* Find(const std::vector<std::string>& path) const {
    const CLI::App* app = &app_;
    for (const std::string& name : path) app = app->get_subcommand(name);
    return app;
  }

 private:
  void Fill(const Command& command, CLI::App* app) {
    commands_[app] = &command;
    app->option_defaults()->always_capture_default(false);
    if (!command.examples.empty()) app->footer("Examples:\n" + command.examples);
    for (const Option& option : command.options) AddOption(option, app);
    for (const Command& child : command.children) {
      CLI::App* sub = app->add_subcommand(child.name, child.summary);
      sub->fallthrough();  // the global options may stand anywhere
      Fill(child, sub);
    }
    if (!command.run) app->require_subcommand(1);
  }

  static void AddOption(const Option& option, CLI::App* app) {
    CLI::Option* made = std::visit(
        [&](auto* target) -> CLI::Option* {
          using Target = std::remove_pointer_t<decltype(target)>;
          if constexpr (std::is_same_v<Target, bool>) {
            return app->add_flag(option.names, *target, option.help);
          } else if constexpr (std::is_same_v<Target, absl::Duration>) {
            CLI::Option* duration = app->add_option_function<std::string>(
                option.names,
                [target](const std::string& text) {
                  const auto value = DurationFromText(text);
                  if (!value.ok())
                    throw CLI::ValidationError(std::string(value.status().message()));
                  *target = *value;
                },
                option.help);
            duration->type_name("DURATION");
            return duration;
          } else {
            return app->add_option(option.names, *target, option.help);
          }
        },
        option.target);
    if (option.required) made->required();
    if (!option.choices.empty()) made->check(CLI::IsMember(option.choices));
  }

  CLI::App app_;
  std::map<const CLI::App*, const Command*> commands_;
};

std::string PathOf(const CLI::App* app) {
  std::string path = app->get_name();
  for (const CLI::App* up = app->get_parent(); up != nullptr; up = up->get_parent()) {
    path = up->get_name() + " " + path;
  }
  return path;
}

}  // namespace

Command LeafCommand(std::string name, std::string summary, std::string examples,
                    std::function<absl::StatusOr<int>()> run) {
  Command command;
  command.name = std::move(name);
  command.summary = std::move(summary);
  command.examples = std::move(examples);
  command.run = std::move(run);
  return command;
}

std::string HelpText(const Command& root, const std::vector<std::string>& path) {
  Parser parser(root);
  std::string names = root.name;
  for (size_t i = 0; i + 1 < path.size(); ++i) names += " " + path[i];
  return parser.Find(path)->help(path.empty() ? "" : names);
}

int RunCommandLine(const Command& root, int argc, const char* const* argv) {
  Parser parser(root);
  try {
    parser.app().parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::fputs(parser.app().help().c_str(), stdout);
    return kExitOk;
  } catch (const CLI::CallForAllHelp&) {
    std::fputs(parser.app().help("", CLI::AppFormatMode::All).c_str(), stdout);
    return kExitOk;
  } catch (const CLI::ParseError& error) {
    const CLI::App* app = &parser.app();
    while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
    fmt::print(stderr, "muster: {}; see {} --help\n", error.what(), PathOf(app));
    return kExitUsage;
  }
  const Command* chosen = parser.Chosen();
  const absl::StatusOr<int> code = chosen->run();
  if (code.ok()) return *code;
  // A job file may have several problems, one a line; each line stands on its own.
  fmt::print(stderr, "muster: {}\n", std::string(code.status().message()));
  return ExitCodeOf(code.status());
}

}  // namespace muster::cli
