// Decides from a node's failures whether it is guilty, and what its quarantine does next.
//
//   NONE ──guilty──▶ COOLING ──time is up──▶ TESTING ──passed──▶ PROBATION ──time is up──▶ NONE
//     │ no room         ▲ ◀──────failed─────────┘                   │
//     └──▶ ADVISED ─────┴──────────────────guilty again─────────────┘
//
// What speaks against a node fades by half every half-life. A loss of the node, or what was seen of
// the machine itself, counts each time; how a rank ended counts once a job, and an end that is the
// program's affair only when different jobs failed there. Jobs of one array are one job here.
// The surprising rules: a failure that happened on several nodes in a row accuses none of them
// (TakeBack), and a job that succeeds on a node clears it of exit codes and signals (Vouch).
//
// Time: callers pass the time of a record, or now. Threads: none.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/ids.h"
#include "muster/v1/job.pb.h"
#include "muster/v1/journal.pb.h"
#include "muster/v1/node.pb.h"

namespace muster::coordinator::core {

struct QuarantineOptions {
  // Of the nodes that are not dead, at least one: more are only ADVISED. 0 = never by itself.
  double share = 0.05;
  double guilty_score = 1.4;
  absl::Duration half_life = absl::Hours(24);
  // Doubles with each quarantine within `memory`.
  absl::Duration cool_down = absl::Minutes(30);
  absl::Duration cool_down_max = absl::Hours(24);
  absl::Duration memory = absl::Hours(24 * 7);
  absl::Duration probation = absl::Hours(24);
  absl::Duration one_event = absl::Seconds(10);    // what hits several jobs so soon is one
  absl::Duration test_repeat = absl::Seconds(10);  // an order without a report is sent again
  absl::Duration test_timeout = absl::Minutes(5);  // then it has failed
};

// One thing that spoke against a node.
struct Fault {
  enum class Kind {
    kLost,     // the node fell silent or went away while it ran something
    kMachine,  // the machine is to blame
    kHint,     // the machine may be: a rank died of a signal
    kProgram,  // by itself the program's affair
  };
  Kind kind = Kind::kProgram;
  int64_t unix_ms = 0;
  double weight = 0;           // then; halved when the node is let back in
  std::vector<uint64_t> jobs;  // that it hit
  uint64_t group = 0;          // the first of those, or its array
  uint64_t attempt = 0;        // of the first
  uint64_t incident = 0;       // 0 = none is known
  uint64_t program = 0;        // what ran, as a number; equal programs, equal numbers
  std::string text;            // "rank 3 killed by SIGSEGV in step 41"
  std::string taken_back;      // why it does not count any more

  bool strong() const { return kind == Kind::kLost || kind == Kind::kMachine; }
};

// What a failure says about the node it names; nullopt: nothing.
struct Accusation {
  Fault::Kind kind;
  double weight;
};
std::optional<Accusation> AccusationOf(const v1::AttemptStopping& stopping);

// What is remembered of a node. Derived from the records.
struct NodeHealth {
  v1::Quarantine quarantine = v1::QUARANTINE_NONE;
  std::string reason;
  int64_t until_unix_ms = 0;  // 0 = only a person ends it
  bool by_person = false;     // COOLING or TESTING, and not by the coordinator's own judgement
  // TESTING: what it was in before, and until when.
  v1::Quarantine before_test = v1::QUARANTINE_NONE;
  int64_t before_until_unix_ms = 0;
  std::string before_reason;
  uint64_t tests = 0;  // ordered
  int64_t test_unix_ms = 0;
  std::vector<Fault> faults;                  // oldest first, at most kFaultsKept
  std::vector<v1::QuarantineChange> changes;  // the same
  std::vector<v1::NodeTest> reports;
  std::vector<int64_t> coolings;  // when the coordinator set it COOLING, within `memory`

  bool kept_from_work() const {
    return quarantine == v1::QUARANTINE_COOLING || quarantine == v1::QUARANTINE_TESTING;
  }
};
inline constexpr size_t kFaultsKept = 32;
// Of a loss of the node; shared by all that are lost in the same event.
inline constexpr double kLostWeight = 0.9;

// Adds the fault, or joins it to the event it is part of. On probation it weighs twice.
void AddFault(NodeHealth& health, Fault fault, const QuarantineOptions& options);
// What each fault counts now, in their order; they add up to the score.
std::vector<double> Counts(const NodeHealth& health, int64_t unix_ms,
                           const QuarantineOptions& options);
double Score(const NodeHealth& health, int64_t unix_ms, const QuarantineOptions& options);
// "3 incidents of 2 jobs in 2 h, newest: lost, silent for 5 s (incident 12)"
std::string ScoreText(const NodeHealth& health, int64_t unix_ms, const QuarantineOptions& options);
// The program failed so elsewhere too. `all`: even what the machine was blamed for.
void TakeBack(NodeHealth& health, uint64_t program, bool all, const std::string& why);
// A job succeeded on the node.
void Vouch(NodeHealth& health, const std::string& why);

// Where programs failed in a row, without progress between.
class Streaks {
 public:
  // The program failed on the node, in this way ("exit 1"). True: not one of the row before.
  bool Failed(uint64_t program, const std::string& way, const NodeId& node, int64_t unix_ms);
  // It was another node.
  void Withdraw(uint64_t program, const NodeId& node);
  const std::set<NodeId>& Nodes(uint64_t program) const;
  // What Failed and then Nodes would say.
  std::set<NodeId> NodesWith(uint64_t program, const std::string& way, const NodeId& node) const;
  void Progressed(uint64_t program);

 private:
  struct Streak {
    std::string way;
    std::set<NodeId> nodes;
    int64_t unix_ms = 0;
  };
  std::map<uint64_t, Streak> streaks_;
};
// On so many nodes in a row, and it is the program.
inline constexpr size_t kEverywhere = 2;
// On so many, and it is the program that takes the machines down.
inline constexpr size_t kEverywhereLost = 3;

// How the failed attempt failed: equal texts, the same way.
std::string WayOf(const v1::AttemptStopping& stopping);
// Equal programs and training set-ups have equal numbers.
uint64_t ProgramOf(const v1::JobSpec& spec);

// The quarantine's own machine.
enum class QuarantineInput {
  kGuilty,   // its score is above the limit, and something was added to it
  kCleared,  // below, because something was taken back
  kTimeUp,   // of what it is in
  kTestPassed,
  kTestFailed,
  kPersonCools,
  kPersonReleases,
  kPersonTests,
};
struct QuarantineFacts {
  v1::Quarantine now = v1::QUARANTINE_NONE;
  v1::Quarantine before_test = v1::QUARANTINE_NONE;  // TESTING
  bool by_person = false;
  bool endless = false;  // COOLING (or before the test): only a person ends it
  bool room = false;     // one more may be kept from work
};
// nullopt: nothing changes.
std::optional<v1::Quarantine> NextQuarantine(const QuarantineFacts& facts, QuarantineInput input);

// How many nodes may be kept from work by the coordinator's own judgement, of so many.
uint64_t QuarantineLimit(uint64_t nodes, const QuarantineOptions& options);
// Of the next quarantine.
absl::Duration CoolDown(const NodeHealth& health, int64_t unix_ms,
                        const QuarantineOptions& options);

}  // namespace muster::coordinator::core
