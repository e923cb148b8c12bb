#include "coordinator/daemon/event_loop.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <memory>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "common/status.h"

namespace muster::coordinator::daemon {
namespace {

constexpr absl::Duration kTickInterval = absl::Milliseconds(100);
constexpr absl::Duration kStall = absl::Seconds(1);
constexpr absl::Duration kAfterStall = absl::Milliseconds(500);

int64_t MonotonicNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// A heartbeat changes nothing a tick would act on; there are thousands per second.
bool ChangesTheCluster(const core::Input& input) {
  const auto* said = std::get_if<core::WorkerSaid>(&input);
  return said == nullptr || !said->message.has_heartbeat();
}

}  // namespace

EventLoop::EventLoop(core::Cluster cluster, journal::Journal* journal, rpc::Mailbox* mailbox,
                     Courier* courier, Metrics* metrics, Deliver deliver)
    : cluster_(std::move(cluster)),
      journal_(journal),
      mailbox_(mailbox),
      courier_(courier),
      metrics_(metrics),
      deliver_(std::move(deliver)),
      wall_start_(absl::Now()),
      monotonic_start_ns_(MonotonicNs()) {}

EventLoop::~EventLoop() {
  if (thread_.joinable()) {
    mailbox_->Close();
    thread_.join();
  }
}

absl::Time EventLoop::Now() const {
  return wall_start_ + absl::Nanoseconds(MonotonicNs() - monotonic_start_ns_);
}

absl::Status EventLoop::Start(const std::string& cluster_id, uint64_t nonce) {
  Step(core::Start{cluster_id, nonce});
  MUSTER_RETURN_IF_ERROR(journal_->Flush());
  spdlog::info("cluster {} epoch {}, revision {}", cluster_.cluster_id(), cluster_.epoch().value(),
               cluster_.revision());
  thread_ = std::thread([this] { Run(); });
  return absl::OkStatus();
}

absl::Status EventLoop::Join() {
  if (thread_.joinable()) thread_.join();
  return journal_->Flush();
}

void EventLoop::Run() {
  absl::Time next_tick = Now() + kTickInterval;
  absl::Time last_round = Now();
  absl::Time no_tick_before = absl::InfinitePast();
  while (true) {
    const bool closed = mailbox_->closed();
    std::vector<rpc::Letter> letters = mailbox_->Take(next_tick - Now());
    const absl::Time woken = Now();
    if (woken - last_round > kStall) {
      spdlog::warn("the event loop stood still for {}; judging no worker for {}",
                   absl::FormatDuration(woken - last_round), absl::FormatDuration(kAfterStall));
      no_tick_before = woken + kAfterStall;
    }
    for (rpc::Letter& letter : letters) Take(std::move(letter));
    if (closed && letters.empty()) return;
    if ((Now() >= next_tick || changed_) && Now() >= no_tick_before) {
      changed_ = false;
      Step(core::Tick{});
      next_tick = Now() + kTickInterval;
    } else if (Now() >= next_tick) {
      next_tick = no_tick_before;
    }
    metrics_->CountStep(Now() - woken);
    last_round = Now();
  }
}

void EventLoop::Take(rpc::Letter letter) {
  if (const auto* input = std::get_if<core::Input>(&letter)) {
    changed_ = changed_ || ChangesTheCluster(*input);
    Step(*input);
    return;
  }
  courier_->Add(batches_appended_, std::get<rpc::Question>(letter)(cluster_));
}

void EventLoop::Step(const core::Input& input) {
  core::Outcome outcome = cluster_.Step(input, Now());
  if (!outcome.records.empty()) {
    changed_ = true;
    for (const v1::Record& record : outcome.records) metrics_->CountRecord(record);
    const size_t count = outcome.records.size();
    ++batches_appended_;
    journal_->Append(std::move(outcome.records),
                     [this, count, appended = Now()](const absl::Status& status) {
                       metrics_->CountAppend(count, Now() - appended);
                       courier_->Durable(status);
                     });
    outcome.records.clear();
  }
  if (outcome.commands.empty() && outcome.replies.empty() && outcome.events.empty() &&
      outcome.incidents.empty()) {
    return;
  }
  auto held = std::make_shared<const core::Outcome>(std::move(outcome));
  courier_->Add(batches_appended_, [this, held] { deliver_(*held); });
}

}  // namespace muster::coordinator::daemon
