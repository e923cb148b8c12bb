#include "worker/daemon/worker.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <utility>

#include "common/check.h"
#include "common/status.h"
#include "spdlog/spdlog.h"
#include "worker/device/devices.h"
#include "worker/rpc/vault_client.h"
#include "worker/shim/client.h"
#include "worker/shim/folder.h"

namespace muster::worker::daemon {
namespace {

// Found attempts are told in the first hello, if their shims answer within this.
constexpr int64_t kSettleMs = 5'000;
constexpr int64_t kWaitMaxMs = 10'000;
constexpr absl::Duration kGoodbye = absl::Milliseconds(500);
// Longer than a worker takes to come back, and than a lost node takes to be declared dead.
constexpr std::chrono::seconds kPartnerGivenUpAfter{10};

int64_t NowMs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
}

std::string HostOf(const std::string& address) { return address.substr(0, address.rfind(':')); }

std::string AdvertisedHost(const Options& options) {
  if (!options.advertise.empty()) return options.advertise;
  std::string host = HostOf(options.listen);
  if (host != "0.0.0.0" && host != "[::]") return host;
  char name[256] = {};
  return gethostname(name, sizeof(name) - 1) == 0 ? name : host;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Worker>> Worker::Create(const Options& options) {
  MUSTER_ASSIGN_OR_RETURN(StateFolder state, StateFolder::Open(options.state));
  if (!options.cluster_id.empty() && !state.cluster_id().empty() &&
      options.cluster_id != state.cluster_id()) {
    return FailedPrecondition(
        "state folder {} belongs to cluster {}, --cluster-id says {}; give each cluster its own "
        "--state",
        options.state, state.cluster_id(), options.cluster_id);
  }
  std::unique_ptr<Worker> worker(new Worker(options, std::move(state)));
  MUSTER_RETURN_IF_ERROR(worker->Begin());
  return worker;
}

Worker::Worker(Options options, StateFolder state)
    : options_(std::move(options)),
      state_(std::move(state)),
      coordinator_(options_.coordinator_file.empty()
                       ? rpc::CoordinatorAddress::Fixed(options_.coordinator)
                       : rpc::CoordinatorAddress::FromFile(options_.coordinator_file)),
      self_test_(options_.preflight, options_.state),
      drainer_({.bytes_per_second = options_.drain_bytes_per_second}),
      replicator_(rpc::DialVault, kPartnerGivenUpAfter),
      fetcher_(rpc::DialVault) {}

Worker::~Worker() {
  link_.reset();  // no event of it comes any more
  peers_.reset();
  for (std::thread& cleaner : cleaners_) cleaner.join();
  state_.RemoveAddress();
  if (signals_ >= 0) close(signals_);
}

// A free port is asked for: the one of the life before comes first, so that peers in the middle of
// an exchange find this node again.
absl::Status Worker::ListenForPeers() {
  const std::string host = HostOf(options_.listen);
  MUSTER_ASSIGN_OR_RETURN(const uint64_t last, state_.LastPort());
  if (options_.listen == host + ":0" && last != 0) {
    auto again = rpc::PeerServer::Listen(fmt::format("{}:{}", host, last), board_, live_ranks_,
                                         state_.logs(), *intake_);
    if (again.ok()) {
      peers_ = std::move(again).value();
      return absl::OkStatus();
    }
    spdlog::warn("port {} of the life before is taken; a launch under way may fail and start again",
                 last);
  }
  MUSTER_ASSIGN_OR_RETURN(peers_, rpc::PeerServer::Listen(options_.listen, board_, live_ranks_,
                                                          state_.logs(), *intake_));
  return absl::OkStatus();
}

absl::Status Worker::Begin() {
  v1::WorkerHello identity;
  MUSTER_ASSIGN_OR_RETURN(const auto devices, device::FindDevices(options_.slots));
  MUSTER_RETURN_IF_ERROR(OpenVault(static_cast<uint32_t>(devices.size())));
  intake_ = std::make_unique<vault::Intake>(vault_);
  MUSTER_RETURN_IF_ERROR(ListenForPeers());
  const std::string port = std::to_string(peers_->port());
  MUSTER_RETURN_IF_ERROR(state_.WriteAddress(HostOf(options_.listen), peers_->port()));
  identity.set_cluster_id(options_.cluster_id.empty() ? state_.cluster_id() : options_.cluster_id);
  identity.set_node(options_.node);
  identity.set_incarnation(state_.incarnation());
  identity.set_slots(static_cast<uint32_t>(devices.size()));
  for (const v1::Device& device : devices) *identity.add_devices() = device;
  identity.set_peer_address(AdvertisedHost(options_) + ":" + port);
  identity.set_highest_epoch(state_.epoch());
  identity.set_epoch_nonce(state_.epoch_nonce());
  *identity.mutable_location() = options_.location;
  identity.mutable_labels()->Assign(options_.labels.begin(), options_.labels.end());
  identity.mutable_taints()->Assign(options_.taints.begin(), options_.taints.end());
  spdlog::info("node {}: {} slots ({}), life {}, peers reach it at {}", options_.node,
               devices.size(), devices.empty() ? "none" : devices.front().kind(),
               state_.incarnation(), identity.peer_address());
  core_ = std::make_unique<core::WorkerCore>(std::move(identity));

  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGTERM);
  sigaddset(&mask, SIGINT);
  signals_ = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signals_ < 0) return ErrnoError(errno, "open a signalfd");
  link_ = std::make_unique<rpc::CoordinatorLink>(rpc::CoordinatorLink::Events{
      [this](v1::CoordinatorMessage message) {
        mailbox_->Post([this, message = std::move(message)]() mutable {
          if (message.has_welcome()) {
            spdlog::info("connected to the coordinator at {} (epoch {})", address_,
                         message.epoch());
            delay_.Reset();
            trouble_.clear();
          }
          Feed(core::FromCoordinator{std::move(message)});
        });
      },
      [this](absl::Status status) {
        mailbox_->Post([this, status = std::move(status)] { OnStreamClosed(status); });
      }});
  FindAttempts();
  return absl::OkStatus();
}

// Without a word about it on the command line a node without room for a vault runs without one.
absl::Status Worker::OpenVault(uint32_t slots) {
  vault::VaultOptions options{options_.vault, 0, slots};
  if (options.folder.empty()) {
    MUSTER_ASSIGN_OR_RETURN(const std::string scope, shim::ScopeOf(options_.state));
    options.folder = "/dev/shm/muster-vault-" + scope;
  }
  options.bytes = options_.vault_bytes >= 0 ? static_cast<uint64_t>(options_.vault_bytes)
                                            : vault::DefaultVaultBytes(options.folder);
  absl::StatusOr<vault::Vault> opened = vault::Vault::Open(options);
  if (!opened.ok()) {
    if (options_.vault_bytes > 0 || !options_.vault.empty()) return opened.status();
    spdlog::warn("{}; a restart loses the steps since the last checkpoint on storage",
                 std::string(opened.status().message()));
    return absl::OkStatus();
  }
  vault_ = *std::move(opened);
  if (vault_.on()) {
    spdlog::info("checkpoints in memory: {} MB in {}", options.bytes >> 20, options.folder);
    MUSTER_RETURN_IF_ERROR(drainer_.Start());
    MUSTER_RETURN_IF_ERROR(replicator_.Start());
  }
  for (const std::string& job : vault_.Jobs()) {
    vault::ClearHolds(vault_.FolderOf(job));
    drainer_.Watch(vault_.FolderOf(job));
  }
  TellVault();
  return absl::OkStatus();
}

void Worker::TellVault() { Feed(core::VaultHolds{vault_.Jobs()}); }

void Worker::FindAttempts() {
  for (const core::AttemptKey& key : state_.Attempts()) {
    const std::string folder = state_.AttemptFolder(key);
    core::AttemptFound found{key, {}, {}};
    v1::ShimOrder order;
    const auto bytes = shim::ReadFile(folder + "/" + shim::kOrderFile);
    if (bytes.ok() && order.ParseFromString(*bytes)) {
      found.start = order.start();
      if (!order.vault_folder().empty()) KeepSlotsOf(found.start);
    }
    found.start.set_job_id(key.job.value());
    found.start.set_attempt(key.attempt.value());
    if (auto last = shim::LastReport(folder); last.ok()) found.last = *std::move(last);
    spdlog::info("found attempt {} of an earlier life", core::AttemptName(key));
    Feed(std::move(found));
    Watch(key, 0);
  }
}

absl::Status Worker::Run() {
  settle_by_ms_ = NowMs() + kSettleMs;
  StepAll();
  while (!*ended_) {
    WaitForEvents(NowMs());
    mailbox_->RunAll();
    const int64_t now_ms = NowMs();
    TurnShims(now_ms);
    if (auto done = self_test_.Turn(now_ms)) Feed(*std::move(done));
    if (now_ms >= core_->WakeAtMs()) Feed(core::Tick{});
    StepAll();
    MaybeOpenStream(now_ms);
    StepAll();
  }
  link_->Finish(kGoodbye);
  return result_;
}

void Worker::WaitForEvents(int64_t now_ms) {
  std::vector<pollfd> fds{{mailbox_->fd(), POLLIN, 0}, {signals_, POLLIN, 0}};
  int64_t wake_ms = std::min(now_ms + kWaitMaxMs, core_->WakeAtMs());
  wake_ms = std::min(wake_ms, self_test_.wake_at_ms());
  if (self_test_.fd() >= 0) fds.push_back({self_test_.fd(), POLLIN, 0});
  if (!stream_open_) {
    const bool may_open = core_->IsSettled() || now_ms >= settle_by_ms_;
    wake_ms = std::min(wake_ms, may_open ? open_at_ms_ : settle_by_ms_);
  }
  for (const auto& [key, link] : shims_) {
    wake_ms = std::min(wake_ms, link->wake_at_ms());
    const auto events = static_cast<int16_t>(POLLIN | (link->wants_write() ? POLLOUT : 0));
    if (link->fd() >= 0) fds.push_back({link->fd(), events, 0});
    if (link->process_fd() >= 0) fds.push_back({link->process_fd(), POLLIN, 0});
  }
  const int64_t wait_ms = std::max<int64_t>(0, wake_ms - now_ms);
  const int ready = poll(fds.data(), fds.size(), static_cast<int>(wait_ms));
  CHECK(ready >= 0 || errno == EINTR, "poll: errno {}", errno);
  if (ready > 0 && (fds[1].revents & POLLIN) != 0) {
    signalfd_siginfo info{};
    if (read(signals_, &info, sizeof(info)) == sizeof(info)) {
      spdlog::info("signal {}: ending; ranks stay with their shims for {} ms", info.ssi_signo,
                   options_.orphan_grace_ms);
      *ended_ = true;
      Feed(core::Ending{"signal " + std::to_string(info.ssi_signo)});
    }
  }
}

void Worker::TurnShims(int64_t now_ms) {
  for (auto& [key, link] : shims_) link->Turn(now_ms);
  std::erase_if(shims_, [](const auto& entry) { return entry.second->gone(); });
}

void Worker::MaybeOpenStream(int64_t now_ms) {
  if (stream_open_ || *ended_ || now_ms < open_at_ms_) return;
  if (!core_->IsSettled() && now_ms < settle_by_ms_) return;
  const auto address = coordinator_.Read();
  if (!address.ok()) return OnStreamClosed(address.status());
  address_ = *address;
  stream_open_ = true;
  link_->Open(address_);
  Feed(core::StreamOpened{});  // its hello is the first message
}

void Worker::OnStreamClosed(const absl::Status& status) {
  const bool was_open = std::exchange(stream_open_, false);
  if (was_open) Feed(core::StreamClosed{});
  if (absl::IsFailedPrecondition(status)) {
    result_ = FailedPrecondition("the coordinator at {} refused this worker: {}", address_,
                                 std::string(status.message()));
    *ended_ = true;
    return;
  }
  const double share = std::uniform_real_distribution<double>(0, 1)(random_);
  open_at_ms_ = NowMs() + delay_.NextMs(core_->reconnect_jitter_ms(), share);
  std::string trouble(status.message());
  if (trouble == trouble_) return;  // said already
  spdlog::warn("no coordinator{}{}: {}; ranks run on, trying again", was_open ? " at " : "",
               was_open ? address_ : "", trouble);
  trouble_ = std::move(trouble);
}

void Worker::StepAll() {
  while (!inputs_.empty()) {
    const core::Input input = std::move(inputs_.front());
    inputs_.pop_front();
    for (core::Action& action : core_->Step(input, NowMs())) {
      if (!result_.ok()) return;  // what has to be durable first is not
      std::visit([this](auto& one) { Do(one); }, action);
    }
  }
}

void Worker::Watch(const core::AttemptKey& key, int child) {
  shims_[key] = std::make_unique<ShimLink>(
      state_.AttemptFolder(key), child, NowMs(),
      ShimLink::Events{[this, key] { Feed(core::ShimConnected{key}); },
                       [this, key] { Feed(core::ShimDisconnected{key}); },
                       [this, key](v1::ShimToWorker message) {
                         Feed(core::FromShim{key, std::move(message)});
                       },
                       [this, key] { Feed(core::ShimGone{key}); }});
}

}  // namespace muster::worker::daemon
