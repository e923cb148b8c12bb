#include "coordinator/daemon/coordinator.h"

#include <grpcpp/server.h>
#include <spdlog/spdlog.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>
#include <variant>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "common/check.h"
#include "common/status.h"
#include "coordinator/daemon/courier.h"
#include "coordinator/daemon/event_loop.h"
#include "coordinator/daemon/metrics.h"
#include "coordinator/daemon/metrics_http.h"
#include "coordinator/journal/repair.h"
#include "coordinator/journal/sqlite_journal.h"
#include "coordinator/journal/state_folder.h"
#include "coordinator/rpc/cluster_service.h"
#include "coordinator/rpc/incident_service.h"
#include "coordinator/rpc/job_service.h"
#include "coordinator/rpc/ledger_service.h"
#include "coordinator/rpc/queue_service.h"
#include "coordinator/rpc/server.h"
#include "coordinator/rpc/worker_gateway.h"

namespace muster::coordinator::daemon {
namespace {

constexpr size_t kMailboxLetters = 65'536;

std::string RandomClusterId() {
  std::array<unsigned char, 8> bytes;
  CHECK(getrandom(bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()),
        "getrandom failed");
  std::string id;
  for (const unsigned char byte : bytes) id += fmt::format("{:02x}", byte);
  return id;
}

uint64_t RandomNonce() {
  uint64_t nonce = 0;
  CHECK(getrandom(&nonce, sizeof(nonce), 0) == sizeof(nonce), "getrandom failed");
  return std::max<uint64_t>(nonce, 1);
}

}  // namespace

// In the order of their making; taken apart in reverse.
struct Coordinator::Parts {
  std::unique_ptr<journal::StateFolder> folder;
  Metrics metrics;
  rpc::Mailbox mailbox{kMailboxLetters};
  rpc::PendingReplies replies;
  rpc::JobWatches job_watches;
  rpc::IncidentWatches incident_watches;
  rpc::WorkerGateway gateway{&mailbox, {}};
  std::unique_ptr<journal::Journal> journal;
  std::unique_ptr<Courier> courier;
  std::unique_ptr<EventLoop> loop;
  std::unique_ptr<rpc::JobService> jobs;
  std::unique_ptr<rpc::QueueService> queues;
  std::unique_ptr<rpc::LedgerService> ledger;
  std::unique_ptr<rpc::IncidentService> incidents;
  std::unique_ptr<rpc::ClusterService> cluster;
  std::unique_ptr<grpc::Server> server;
  std::unique_ptr<MetricsHttp> metrics_http;
  std::string address;
  std::string metrics_address;

  absl::Mutex mutex;
  bool stopping ABSL_GUARDED_BY(mutex) = false;
  absl::Status failure ABSL_GUARDED_BY(mutex);

  absl::StatusOr<core::Cluster> OpenState(const CoordinatorOptions& options);
  absl::Status Serve(const CoordinatorOptions& options);
  void Deliver(const core::Outcome& outcome);
  absl::StatusOr<std::string> MetricsText();
  void Fail(const absl::Status& status);
  void Close();
};

absl::StatusOr<core::Cluster> Coordinator::Parts::OpenState(const CoordinatorOptions& options) {
  MUSTER_ASSIGN_OR_RETURN(folder, journal::StateFolder::Open(options.state_path));
  MUSTER_RETURN_IF_ERROR(rpc::CheckListen(options.listen));
  if (options.repair_by_truncation) {
    MUSTER_ASSIGN_OR_RETURN(const journal::RepairReport report,
                            journal::RepairByTruncation(folder->journal_path()));
    spdlog::warn("{}", report.Text());
  }
  MUSTER_ASSIGN_OR_RETURN(journal, journal::SqliteJournal::Open(folder->journal_path()));
  core::Cluster state(options.core);
  const absl::Time start = absl::Now();
  const auto apply = [&](const v1::Record& record) {
    state.Apply(record);
    metrics.CountRecord(record);
  };
  MUSTER_ASSIGN_OR_RETURN(const uint64_t records, journal->Replay(apply));
  spdlog::info("replayed {} records of {} in {}", records, folder->journal_path(),
               absl::FormatDuration(absl::Now() - start));
  return state;
}

absl::Status Coordinator::Parts::Serve(const CoordinatorOptions& options) {
  MUSTER_ASSIGN_OR_RETURN(core::Cluster state, OpenState(options));
  courier = std::make_unique<Courier>([this](const absl::Status& status) { Fail(status); });
  loop = std::make_unique<EventLoop>(std::move(state), journal.get(), &mailbox, courier.get(),
                                     &metrics,
                                     [this](const core::Outcome& outcome) { Deliver(outcome); });
  metrics.SetGauges({.mailbox_depth = [this] { return mailbox.depth(); },
                     .sessions = [this] { return gateway.sessions(); },
                     .watchers = [this] { return job_watches.count() + incident_watches.count(); },
                     .deliveries_waiting = [this] { return courier->waiting(); }});
  MUSTER_RETURN_IF_ERROR(loop->Start(RandomClusterId(), RandomNonce()));

  jobs = std::make_unique<rpc::JobService>(&mailbox, &replies, &job_watches);
  queues = std::make_unique<rpc::QueueService>(&mailbox, &replies);
  ledger = std::make_unique<rpc::LedgerService>(&mailbox);
  incidents = std::make_unique<rpc::IncidentService>(&mailbox, &replies, &incident_watches);
  cluster = std::make_unique<rpc::ClusterService>(
      &mailbox, &replies,
      rpc::ClusterServiceHost{
          .version = MUSTER_VERSION,
          .start = absl::Now(),
          .metrics = [this](const core::Cluster& c) { return metrics.Text(c); },
          .backup = [this](const std::string& path) { return journal->Backup(path); }});
  MUSTER_ASSIGN_OR_RETURN(
      rpc::RunningServer running,
      rpc::StartServer(options.listen, {jobs.get(), queues.get(), ledger.get(), incidents.get(),
                                        cluster.get(), &gateway}));
  server = std::move(running.server);
  address = running.address;
  if (!options.metrics_listen.empty()) {
    MUSTER_ASSIGN_OR_RETURN(
        metrics_http, MetricsHttp::Start(options.metrics_listen, [this] { return MetricsText(); }));
    metrics_address = metrics_http->address();
    spdlog::info("metrics on http://{}/metrics", metrics_address);
  }
  MUSTER_RETURN_IF_ERROR(folder->PublishAddress(address));
  spdlog::info("serving on {}, state in {}", address, folder->path());
  return absl::OkStatus();
}

void Coordinator::Parts::Deliver(const core::Outcome& outcome) {
  for (const core::Command& command : outcome.commands) {
    if (const auto* send = std::get_if<core::SendToWorker>(&command)) {
      gateway.Send(send->session, send->message);
    } else {
      const auto& close = std::get<core::CloseSession>(command);
      spdlog::info("closing session {}: {}", close.session.value(),
                   std::string(close.status.message()));
      gateway.Close(close.session, close.status);
    }
  }
  for (const core::Reply& reply : outcome.replies) replies.Answer(reply);
  for (const v1::JobEvent& event : outcome.events) {
    if (event.kind() == v1::EVENT_KIND_PROGRESS) continue;
    spdlog::info("job {}: {}", event.job_id(), event.text());
  }
  job_watches.Publish(outcome.events);
  incident_watches.Publish(outcome.incidents);
}

absl::StatusOr<std::string> Coordinator::Parts::MetricsText() {
  struct Waiting {
    absl::Notification done;
    std::string text;
  };
  const auto waiting = std::make_shared<Waiting>();
  MUSTER_RETURN_IF_ERROR(mailbox.Ask([this, waiting](const core::Cluster& c) -> rpc::Answer {
    waiting->text = metrics.Text(c);
    return [waiting] { waiting->done.Notify(); };
  }));
  if (!waiting->done.WaitForNotificationWithTimeout(absl::Seconds(5))) {
    return Unavailable("the coordinator did not answer within 5 s; try again");
  }
  return std::move(waiting->text);
}

void Coordinator::Parts::Fail(const absl::Status& status) {
  absl::MutexLock lock(&mutex);
  if (failure.ok()) failure = status;
  stopping = true;
}

void Coordinator::Parts::Close() {
  mailbox.Close();
  // Before the server waits for its calls, everything that answers them must have run.
  if (loop != nullptr) {
    const absl::Status flushed = loop->Join();
    if (!flushed.ok()) Fail(flushed);
  }
  if (courier != nullptr) courier->Stop();
  const absl::Status gone =
      Unavailable("the coordinator is stopping; ranks run on; try again when it is back");
  replies.FailAll(gone);
  job_watches.CloseAll(gone);
  incident_watches.CloseAll(gone);
  gateway.CloseAll(gone);
  if (metrics_http != nullptr) metrics_http.reset();
  if (server != nullptr) {
    // Every call has its answer by now; this is for idle connections to say goodbye.
    server->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(200));
    server->Wait();
    server.reset();
  }
}

Coordinator::Coordinator(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Coordinator::~Coordinator() {
  if (parts_ != nullptr && parts_->server != nullptr) parts_->Close();
}

absl::StatusOr<std::unique_ptr<Coordinator>> Coordinator::Start(const CoordinatorOptions& options) {
  auto parts = std::make_unique<Parts>();
  if (const absl::Status status = parts->Serve(options); !status.ok()) {
    if (parts->loop != nullptr) parts->Close();
    return status;
  }
  return std::unique_ptr<Coordinator>(new Coordinator(std::move(parts)));
}

const std::string& Coordinator::address() const { return parts_->address; }

const std::string& Coordinator::metrics_address() const { return parts_->metrics_address; }

absl::Status Coordinator::Wait() {
  {
    absl::MutexLock lock(&parts_->mutex);
    parts_->mutex.Await(absl::Condition(&parts_->stopping));
  }
  parts_->Close();
  absl::MutexLock lock(&parts_->mutex);
  return parts_->failure;
}

void Coordinator::Stop() {
  absl::MutexLock lock(&parts_->mutex);
  parts_->stopping = true;
}

}  // namespace muster::coordinator::daemon
