// What broke first, and who is to blame for it: pure judgements over what was seen of one attempt.
//
// One node's evidence is ordered by that node's clock, strictly. Between nodes clocks may differ by
// any amount, so how a rank ended counts before when: a lost node or a failed device explains every
// broken connection, a crash of its own explains errors about other ranks. Only ends of one kind
// are compared by time, and by the coordinator's clock as soon as a node's clock is seen to be
// wrong.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "muster/v1/job.pb.h"

namespace muster::coordinator::core {

// How much an evidence looks like the beginning, weakest first.
enum class RootWeight {
  kEcho,     // speaks of others: connection reset, MPI error, SIGPIPE
  kUnclear,  // says nothing: exit 1, SIGTERM
  kOwn,      // ended for a reason of its own: SIGSEGV, SIGKILL, a traceback
  kLost,     // a node, a device or the shim: what ran there had no say
};

RootWeight WeightOf(const v1::Evidence& evidence);

// Sets the role of each but those that come as TEARDOWN, and puts the root first; the others keep
// their order. Of ranks that stood still, the one that comes as ROOT is the one the others wait
// for. Nodes lost within seconds of the root, itself a lost node, are ROOT too. Does nothing when
// all are teardown.
void SetRoles(std::vector<v1::Evidence>* evidence);

// Ranks found that they hold other weights than their replicas (trainer/loop/replica_check.h). What
// they left in memory may be wrong: only what goes to storage is compared before.
bool FoundCorruption(const std::vector<v1::Evidence>& evidence);

// When it happened by the coordinator's clock, as well as can be told.
int64_t HappenedMs(const v1::Evidence& evidence);

struct BlameVerdict {
  v1::Blame blame = v1::BLAME_UNSPECIFIED;
  double confidence = 0;
  std::string reason;  // one line
};

// `earlier`: the causes of the job's earlier failed attempts, oldest first.
BlameVerdict BlameFor(const v1::Evidence& root, const std::vector<v1::FailureCause>& earlier);

// "machine, 90 %"; a question mark below 75 %; "cause unknown".
std::string BlameText(v1::Blame blame, double confidence);

}  // namespace muster::coordinator::core
