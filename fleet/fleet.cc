#include "fleet/fleet.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <random>
#include <utility>

#include "absl/time/clock.h"
#include "common/status.h"

namespace muster::fleet {
namespace {

constexpr int64_t kNever = int64_t{1} << 60;

v1::WorkerHello IdentityOf(const FleetOptions& options, uint32_t index) {
  v1::WorkerHello hello;
  hello.set_node(options.prefix + std::to_string(index + 1));
  hello.set_incarnation(static_cast<uint64_t>(absl::ToUnixSeconds(absl::Now())));
  hello.set_slots(options.slots);
  for (uint32_t slot = 0; slot < options.slots; ++slot) {
    v1::Device* device = hello.add_devices();
    device->set_slot(slot);
    device->set_kind("simulated");
  }
  hello.set_peer_address("127.0.0.1:1");
  const uint64_t wide = index;
  if (options.racks > 0) {
    hello.mutable_location()->set_rack(fmt::format("r{}", wide * options.racks / options.nodes));
  }
  if (options.pods > 0) {
    hello.mutable_location()->set_pod(fmt::format("p{}", wide * options.pods / options.nodes));
  }
  return hello;
}

}  // namespace

Fleet::Fleet(FleetOptions options, Script script)
    : options_(std::move(options)), script_(std::move(script)), rules_(script_.rules) {
  host_.script = &script_;
  host_.counts = &counts_;
  host_.address = [this] { return Address(); };
  host_.post = [this](std::function<void()> event) { Post(std::move(event)); };
  host_.acknowledged = [this](const worker::core::AttemptKey& key, const std::string& node) {
    if (options_.times.empty()) return;
    acknowledgements_ += fmt::format("{} {} {} {}\n", key.job.value(), key.attempt.value(), node,
                                     absl::ToUnixMicros(absl::Now()));
  };
}

std::string Fleet::Address() const {
  if (options_.coordinator_file.empty()) return options_.coordinator;
  const auto file = worker::rpc::CoordinatorAddress::FromFile(options_.coordinator_file).Read();
  return file.value_or("");
}

void Fleet::Post(std::function<void()> event) {
  absl::MutexLock lock(&mutex_);
  mailbox_.push_back(std::move(event));
}

void Fleet::Stop() {
  absl::MutexLock lock(&mutex_);
  stopping_ = true;
}

void Fleet::ObeyNow(const Rule& rule) {
  Post([this, rule] { rules_.push_back(rule); });
}

absl::Status Fleet::Run() {
  std::mt19937_64 random(options_.seed);
  for (uint32_t i = 0; i < options_.nodes; ++i) {
    const double jitter = static_cast<double>(random() >> 11) * 0x1.0p-53;
    workers_.push_back(std::make_unique<SimWorker>(IdentityOf(options_, i), &host_, jitter));
  }
  const absl::Time start = absl::Now();
  bool stop = false;
  while (!stop) {
    const int64_t now_ms = host_.now_ms;
    int64_t next_ms = options_.seconds > 0 ? static_cast<int64_t>(options_.seconds * 1000) : kNever;
    if (now_ms >= next_ms) break;
    for (Rule& rule : rules_) {
      if (now_ms >= rule.at_ms) Obey(rule, now_ms);
      next_ms = std::min(next_ms, rule.at_ms);
    }
    for (const auto& one : workers_) {
      if (one->due_ms() <= now_ms) one->Run(now_ms);
      next_ms = std::min(next_ms, one->due_ms());
    }
    std::erase_if(rules_, [](const Rule& rule) { return rule.at_ms == kNever; });
    if (!acknowledgements_.empty()) {
      std::ofstream(options_.times, std::ios::app) << std::exchange(acknowledgements_, "");
    }
    std::vector<std::function<void()>> events;
    {
      absl::MutexLock lock(&mutex_);
      const auto something = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
        return !mailbox_.empty() || stopping_;
      };
      mutex_.AwaitWithDeadline(absl::Condition(&something),
                               start + absl::Milliseconds(std::max(next_ms, now_ms + 1)));
      events.swap(mailbox_);
      stop = stopping_;
    }
    host_.now_ms = absl::ToInt64Milliseconds(absl::Now() - start);
    for (const auto& event : events) event();
  }
  return absl::OkStatus();
}

void Fleet::Obey(Rule& rule, int64_t now_ms) {
  rule.at_ms = rule.every_ms > 0 ? rule.at_ms + rule.every_ms : kNever;
  if (rule.what == Rule::What::kKillRank || rule.what == Rule::What::kHangRank) {
    for (const auto& one : workers_) {
      if (rule.what == Rule::What::kKillRank) one->KillRank(rule.job, rule.rank, now_ms);
      if (rule.what == Rule::What::kHangRank) one->HangRank(rule.job, rule.rank, now_ms);
    }
    return;
  }
  std::vector<SimWorker*> well;
  for (const auto& one : workers_) {
    if (one->well()) well.push_back(one.get());
  }
  std::mt19937_64 random(options_.seed * 1'000'003 + ++draws_);
  std::shuffle(well.begin(), well.end(), random);
  const double wanted = rule.percent ? std::ceil(rule.count / 100 * options_.nodes) : rule.count;
  well.resize(std::min(well.size(), static_cast<size_t>(wanted)));
  for (SimWorker* one : well) {
    switch (rule.what) {
      case Rule::What::kSilent:
        one->FallSilent();
        break;
      case Rule::What::kDisconnect:
        one->Disconnect();
        break;
      case Rule::What::kCrash:
        one->Crash(now_ms);
        break;
      case Rule::What::kSlow:
        one->SlowDown(rule.by_ms);
        break;
      case Rule::What::kKillRank:
      case Rule::What::kHangRank:
        break;
    }
    fmt::print("{} ms: {}\n", now_ms, one->node());
  }
  std::fflush(stdout);
}

std::string Fleet::Summary() const {
  size_t welcomed = 0, silent = 0;
  for (const auto& one : workers_) {
    welcomed += one->well() && one->welcomed() ? 1 : 0;
    silent += one->well() ? 0 : 1;
  }
  return fmt::format(
      "{} workers: {} welcomed, {} silent; {} shares started, {} checkpoints; {} messages sent, {} "
      "received, {} streams ended",
      workers_.size(), welcomed, silent, counts_.started, counts_.commits, counts_.sent,
      counts_.received, counts_.closed);
}

}  // namespace muster::fleet
