#include "tests/unit/worker/core_fixture.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace muster::worker::core {
namespace {

std::string ReportText(const v1::AttemptReport& report) {
  std::string text =
      fmt::format("{}.{} {}", report.job_id(), report.attempt(),
                  report.state() == v1::LOCAL_ATTEMPT_STATE_STOPPED ? "STOPPED" : "ACTIVE");
  for (const v1::RankReport& rank : report.ranks()) {
    text += fmt::format(" {}:{}", rank.rank(), v1::RankState_Name(rank.state()).substr(11));
    if (rank.signal() != 0) text += fmt::format("/sig{}", rank.signal());
    if (!rank.error().empty()) text += fmt::format("({})", rank.error());
  }
  return text;
}

template <typename Reports>
std::string ReportsText(const Reports& reports) {
  std::vector<std::string> texts;
  for (const auto& report : reports) texts.push_back(ReportText(report));
  return fmt::format("[{}]", fmt::join(texts, ", "));
}

struct Writer {
  std::string operator()(const RecordEpoch& a) {
    return fmt::format("record epoch {}", a.epoch.value());
  }
  std::string operator()(const RecordClusterId& a) { return "record cluster " + a.cluster_id; }
  std::string operator()(const SendToCoordinator& a) {
    switch (a.message.message_case()) {
      case v1::WorkerMessage::kHello:
        return "hello " + ReportsText(a.message.hello().attempts());
      case v1::WorkerMessage::kHeartbeat:
        return "heartbeat " + ReportsText(a.message.heartbeat().attempts());
      case v1::WorkerMessage::kReport:
        return "report " + ReportText(a.message.report());
      case v1::WorkerMessage::kCommitRequest:
        return fmt::format("commit? step {}", a.message.commit_request().checkpoint().step());
      case v1::WorkerMessage::kCommitDone:
        return fmt::format("committed step {}", a.message.commit_done().checkpoint().step());
      case v1::WorkerMessage::kPruned:
        return fmt::format("pruned {} steps", a.message.pruned().checkpoints_size());
      case v1::WorkerMessage::kTestReport:
        return fmt::format("test {} {}: {}", a.message.test_report().test(),
                           a.message.test_report().passed() ? "passed" : "failed",
                           a.message.test_report().text());
      case v1::WorkerMessage::kGoodbye:
        return "goodbye: " + a.message.goodbye().reason();
      case v1::WorkerMessage::MESSAGE_NOT_SET:
        break;
    }
    return "?";
  }
  std::string operator()(const DropStream&) { return "drop stream"; }
  std::string operator()(const EndWorker&) { return "end worker"; }
  std::string operator()(const SpawnShim& a) { return "spawn " + AttemptName(a.key); }
  std::string operator()(const SendToShim& a) {
    const std::string to = "shim " + AttemptName(a.key);
    switch (a.message.message_case()) {
      case v1::WorkerToShim::kStop:
        return fmt::format("{}: stop grace={}", to, a.message.stop().grace_ms());
      case v1::WorkerToShim::kExchangeResult:
        return fmt::format("{}: exchange result blobs={} error=\"{}\"", to,
                           a.message.exchange_result().blobs_size(),
                           a.message.exchange_result().error());
      case v1::WorkerToShim::kCommitReply:
        return fmt::format("{}: permit step {}", to, a.message.commit_reply().step());
      case v1::WorkerToShim::kCommitAck:
        return fmt::format("{}: ack step {}", to, a.message.commit_ack().step());
      case v1::WorkerToShim::kSave:
        return fmt::format("{}: save {}", to, a.message.save().save());
      case v1::WorkerToShim::kExit:
        return to + ": exit";
      case v1::WorkerToShim::MESSAGE_NOT_SET:
        break;
    }
    return "?";
  }
  std::string operator()(const CleanUp& a) { return "clean up " + AttemptName(a.key); }
  std::string operator()(const RemoveFolder& a) { return "remove folder " + AttemptName(a.key); }
  std::string operator()(const OpenExchange& a) {
    return fmt::format("open exchange {} of {}", AttemptName(a.key), a.nodes.size());
  }
  std::string operator()(const CloseExchange& a) { return "close exchange " + AttemptName(a.key); }
  std::string operator()(const ExchangeOver& a) {
    return fmt::format("exchange {} over blobs={}", AttemptName(a.key), a.over.blobs_size());
  }
  std::string operator()(const CallExchange& a) {
    return fmt::format("exchange {} node {} at {}", AttemptName(a.key), a.request.node_index(),
                       a.here ? "here" : a.peer_address);
  }
  std::string operator()(const PublishRanks& a) {
    return fmt::format("live {} {}", AttemptName(a.key), a.live);
  }
  std::string operator()(const StartTest& a) { return fmt::format("start test {}", a.test); }
  std::string operator()(const DropVault& a) { return "drop vault of " + a.job_uid; }
  std::string operator()(const Note&) { return ""; }
};

}  // namespace

std::vector<std::string> Text(const Actions& actions) {
  std::vector<std::string> lines;
  for (const Action& action : actions) {
    std::string line = std::visit(Writer{}, action);
    if (!line.empty()) lines.push_back(std::move(line));
  }
  return lines;
}

v1::WorkerHello CoreTest::Identity(const std::string& cluster_id) {
  v1::WorkerHello identity;
  identity.set_node("n1");
  identity.set_cluster_id(cluster_id);
  identity.set_incarnation(3);
  identity.set_highest_epoch(1);
  return identity;
}

std::vector<std::string> CoreTest::Feed(Input input) {
  last_ = core_.Step(input, now_ms_);
  return Text(last_);
}

std::vector<std::string> CoreTest::Advance(int64_t ms) {
  now_ms_ += ms;
  return Feed(Tick{});
}

v1::CoordinatorMessage CoreTest::Order() const {
  v1::CoordinatorMessage message;
  message.set_epoch(epoch_);
  return message;
}

std::vector<std::string> CoreTest::Connect(uint64_t epoch) {
  epoch_ = epoch;
  std::vector<std::string> lines = Feed(StreamOpened{});
  v1::CoordinatorMessage message = Order();
  message.mutable_welcome()->set_cluster_id("c1");
  message.mutable_welcome()->set_heartbeat_interval_ms(500);
  message.mutable_welcome()->set_lease_ms(4000);
  for (std::string& line : Feed(FromCoordinator{message})) lines.push_back(std::move(line));
  return lines;
}

std::vector<std::string> CoreTest::Start(uint64_t job, uint64_t attempt,
                                         std::vector<std::string> nodes) {
  v1::CoordinatorMessage message = Order();
  v1::StartRanks& start = *message.mutable_start();
  start.set_job_id(job);
  start.set_attempt(attempt);
  v1::GangOrder gang;
  for (const std::string& node : nodes) {
    if (gang.nodes_size() == 0 || gang.nodes().rbegin()->name() != node) {
      gang.add_nodes()->set_name(node);
    }
    v1::NodeRun& run = *gang.mutable_nodes(gang.nodes_size() - 1);
    run.set_nodes(1);
    run.set_ranks(run.ranks() + 1);
    if (node == "n1") {
      start.set_node_index(static_cast<uint32_t>(gang.nodes_size() - 1));
      start.mutable_share()->set_node(node);
      start.mutable_share()->set_ranks(run.ranks());
      start.mutable_share()->set_first_rank(start.world_size() + 1 - run.ranks());
    }
    start.set_world_size(start.world_size() + 1);
  }
  start.set_nodes(static_cast<uint32_t>(gang.nodes_size()));
  start.set_root_address(nodes.front() + ":1");
  start.set_gang(gang.SerializeAsString());
  return Feed(FromCoordinator{message});
}

std::vector<std::string> CoreTest::Stop(uint64_t job, uint64_t attempt, uint32_t grace_ms) {
  v1::CoordinatorMessage message = Order();
  message.mutable_stop()->set_job_id(job);
  message.mutable_stop()->set_attempt(attempt);
  message.mutable_stop()->set_grace_ms(grace_ms);
  return Feed(FromCoordinator{message});
}

std::vector<std::string> CoreTest::Release(uint64_t job, uint64_t attempt) {
  v1::CoordinatorMessage message = Order();
  message.mutable_release()->set_job_id(job);
  message.mutable_release()->set_attempt(attempt);
  return Feed(FromCoordinator{message});
}

std::vector<std::string> CoreTest::ShimReports(uint64_t job, uint64_t attempt, bool stopped,
                                               v1::RankState state, uint64_t step) {
  FromShim from{Key(job, attempt), {}};
  v1::AttemptReport& report = *from.message.mutable_report();
  report.set_state(stopped ? v1::LOCAL_ATTEMPT_STATE_STOPPED : v1::LOCAL_ATTEMPT_STATE_ACTIVE);
  report.add_ranks()->set_rank(0);
  report.mutable_ranks(0)->set_state(state);
  report.mutable_ranks(0)->mutable_progress()->set_step(step);
  return Feed(std::move(from));
}

void CoreTest::Run(uint64_t job, uint64_t attempt) {
  Start(job, attempt);
  Feed(ShimConnected{Key(job, attempt)});
  ShimReports(job, attempt, false, v1::RANK_STATE_RUNNING);
}

}  // namespace muster::worker::core
