#include "cli/app.h"

#include "cli/commands.h"

namespace muster::cli {

Command MusterCommand(Session* session) {
  Command root;
  root.name = "muster";
  root.summary = "Trains models on many machines at once, and keeps them training.";
  root.examples = R"(  muster dev up                          start a cluster on this machine
  muster submit -f configs/gpt-stdlib.yaml --watch
  muster list                            what runs, what waits and why
  muster COMMAND --help                  a command's own options and examples
Exit codes: 0 ok, 1 error, 2 usage, 3 not found, 4 denied, 5 conflict, 6 unavailable,
  7 cannot be placed, 8 deadline, 130 detached by Ctrl-C)";
  root.options = {
      {"--coordinator", &session->hints.coordinator,
       "HOST:PORT of the coordinator (else MUSTER_COORDINATOR, else the dev cluster's)"},
      {"--state", &session->hints.state,
       "folder of a dev cluster (else MUSTER_STATE, else .muster)"},
      {"-o,--output", &session->output, "how to print", false, {"table", "wide", "json", "yaml"}},
      {"--deadline", &session->deadline, "time limit of one call (10s)"},
  };
  root.children = {SubmitCommand(session),  ValidateCommand(session), PlanCommand(session),
                   ListCommand(session),    DescribeCommand(session), LogsCommand(session),
                   WatchCommand(session),   TopCommand(session),      CancelCommand(session),
                   HoldCommand(session),    ReleaseCommand(session),  SuspendCommand(session),
                   ResumeCommand(session),  RequeueCommand(session),  SaveCommand(session),
                   ScaleCommand(session),   WaitCommand(session),     QueueCommand(session),
                   LedgerCommand(session),  IncidentCommand(session), NodeCommand(session),
                   CkptCommand(session),    DataCommand(session),     SampleCommand(session),
                   ClusterCommand(session), DevCommand(session),      CompletionCommand(session)};
  return root;
}

int RunCli(int argc, const char* const* argv) {
  Session session;
  session.program = argc > 0 ? argv[0] : "muster";
  return RunCommandLine(MusterCommand(&session), argc, argv);
}

}  // namespace muster::cli
