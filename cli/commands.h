// One function per noun or verb of `muster`; each lives in the file of its name.
#pragma once

#include "cli/command_line.h"
#include "cli/session.h"

namespace muster::cli {

Command SubmitCommand(Session* session);
Command ValidateCommand(Session* session);
Command PlanCommand(Session* session);
Command ListCommand(Session* session);
Command DescribeCommand(Session* session);
Command LogsCommand(Session* session);
Command WatchCommand(Session* session);
Command TopCommand(Session* session);
Command CancelCommand(Session* session);
Command HoldCommand(Session* session);
Command ReleaseCommand(Session* session);
Command SuspendCommand(Session* session);
Command ResumeCommand(Session* session);
Command RequeueCommand(Session* session);
Command SaveCommand(Session* session);
Command ScaleCommand(Session* session);
Command QueueCommand(Session* session);
Command LedgerCommand(Session* session);
Command WaitCommand(Session* session);
Command IncidentCommand(Session* session);
Command NodeCommand(Session* session);
Command CkptCommand(Session* session);
Command DataCommand(Session* session);
Command SampleCommand(Session* session);
Command ClusterCommand(Session* session);
Command DevCommand(Session* session);
Command CompletionCommand(Session* session);

}  // namespace muster::cli
