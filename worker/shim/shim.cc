#include "worker/shim/shim.h"

#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <system_error>
#include <thread>
#include <utility>

#include "common/status.h"
#include "worker/launch/interface.h"
#include "worker/shim/folder.h"
#include "worker/shim/process_table.h"

namespace muster::worker::shim {
namespace {

constexpr int64_t kReportEveryMs = 250;
constexpr int64_t kSweepEveryMs = 20;
constexpr uint32_t kOrphanGraceDefaultMs = 60000;

std::vector<uint32_t> RanksHere(const launch::Launch& launch) {
  const v1::NodeShare& share = launch.order.start().share();
  std::vector<uint32_t> ranks(share.ranks());
  std::iota(ranks.begin(), ranks.end(), share.first_rank());
  return ranks;
}

launch::Environment OwnEnvironment() {
  launch::Environment own;
  for (char** line = environ; *line != nullptr; ++line) own.push_back(*line);
  return own;
}

template <typename Part>
bool Take(const std::string& body, Part* part) {
  if (body.size() < sizeof(*part)) return false;
  std::memcpy(part, body.data(), sizeof(*part));
  return true;
}

}  // namespace

Shim::Shim(std::string folder, launch::Launch launch)
    : folder_(std::move(folder)),
      launch_(std::move(launch)),
      local_ranks_(RanksHere(launch_)),
      attempt_(launch_.order.start().job_id(), launch_.order.start().attempt(), local_ranks_,
               !launch_.gang.spec().has_program()),
      commits_(launch_.order.start().job_id(), launch_.order.start().attempt()),
      milestones_(launch_.gang.stood_step()),
      exchange_(
          &loop_, local_ranks_, launch_.world_size, static_cast<uint32_t>(launch_.nodes.size()),
          [this](const v1::ShimToWorker& message) { worker_.Send(message); },
          [this](uint32_t rank, uint32_t id, const absl::StatusOr<std::string>& bytes) {
            ReplyToRank(rank, MUSTER_FRAME_EXCHANGE_RESULT, id, bytes);
          }),
      worker_(&loop_, {[this] { WorkerCame(); },
                       [this] {
                         const uint32_t grace_ms = launch_.order.orphan_grace_ms();
                         orphan_at_ms_ =
                             MonotonicMs() + (grace_ms > 0 ? grace_ms : kOrphanGraceDefaultMs);
                       },
                       [this](const v1::WorkerToShim& message) { FromWorker(message); }}) {}

Shim::~Shim() {
  processes_.clear();
  if (signals_ >= 0) close(signals_);
}

absl::Status Shim::Run() {
  MUSTER_RETURN_IF_ERROR(Prepare());
  SpawnRanks();
  for (;;) {
    Act();
    ReportIfChanged();
    if (ending_ && attempt_.Stopped()) break;
    MUSTER_RETURN_IF_ERROR(loop_.RunOnce(NextDeadline()));
    LookForMilestones();
    const int64_t now_ms = MonotonicMs();
    if (worker_.connected() && worker_.idle() && now_ms >= report_at_ms_) Report();
    if (!ending_ && now_ms >= orphan_at_ms_) EndSoon("no worker came back in time");
  }
  worker_.Close();
  return RemoveTraces();
}

absl::Status Shim::Prepare() {
  struct stat info = {};
  if (stat((folder_ + "/" + kProcessFile).c_str(), &info) == 0) {
    return FailedPrecondition("{}: its ranks were started before; an attempt runs once", folder_);
  }
  MUSTER_ASSIGN_OR_RETURN(scope_, ScopeOf(folder_));
  MUSTER_RETURN_IF_ERROR(RecordProcess(folder_, getpid(), "shim"));
  // What ranks leave behind becomes ours, not init's.
  if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) return ErrnoError(errno, "become the subreaper");

  facts_.folder = folder_;
  facts_.job_file = folder_ + "/" + kJobFile;
  facts_.resume_file = folder_ + "/" + kResumeFile;
  facts_.scope = scope_;
  facts_.temp_folder = folder_ + "/" + kTempFolder;
  facts_.memory_folder = SharedMemoryFolder(scope_);
  facts_.interface = launch::InterfaceOf(launch_.order.host_address());
  facts_.cores = std::max(1u, std::thread::hardware_concurrency());
  if (access("/dev/shm", W_OK) != 0) facts_.memory_folder = facts_.temp_folder;
  for (const std::string& path :
       {facts_.temp_folder, facts_.memory_folder, folder_ + "/" + kPmixFolder}) {
    if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
      return ErrnoError(errno, "create " + path);
    }
  }
  MUSTER_RETURN_IF_ERROR(loop_.Open());
  MUSTER_RETURN_IF_ERROR(WatchSignals());
  MUSTER_RETURN_IF_ERROR(WriteJobFiles(launch_, folder_));
  const uint32_t grace_ms = launch_.order.orphan_grace_ms();
  orphan_at_ms_ = MonotonicMs() + (grace_ms > 0 ? grace_ms : kOrphanGraceDefaultMs);
  return worker_.Listen(folder_);
}

absl::Status Shim::WatchSignals() {
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGCHLD);
  sigaddset(&wanted, SIGTERM);
  signals_ = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signals_ < 0) return ErrnoError(errno, "open the signal descriptor");
  return loop_.Watch(signals_, EPOLLIN, [this](uint32_t) { OnSignal(); });
}

void Shim::OnSignal() {
  signalfd_siginfo info = {};
  while (read(signals_, &info, sizeof(info)) == sizeof(info)) {
    if (info.ssi_signo == SIGTERM) EndSoon("told to end (SIGTERM)");
  }
  Reap();
}

absl::StatusOr<launch::Environment> Shim::EnvironmentOf(uint32_t rank) {
  std::vector<launch::Environment> parts = {launch::Inherited(OwnEnvironment()),
                                            launch::RankVariables(launch_, rank, facts_)};
  if (pmix_ != nullptr) {
    MUSTER_ASSIGN_OR_RETURN(launch::Environment pmix, pmix_->RankVariables(rank));
    parts.push_back(std::move(pmix));
  }
  return launch::Merge(parts);
}

void Shim::SpawnRanks() {
  absl::Status ready;
  if (launch::NeedsMpi(launch_.gang.spec())) {
    auto pmix = launch::PmixHost::Start(launch_, folder_ + "/" + kPmixFolder, &exchange_);
    if (pmix.ok()) {
      pmix_ = std::move(*pmix);
    } else {
      ready = pmix.status();
    }
  }
  for (uint32_t rank : local_ranks_) {
    if (attempt_.Failed()) {
      attempt_.Skipped(rank, UnixUs());
      continue;
    }
    absl::StatusOr<launch::Environment> environment = launch::Environment();
    if (ready.ok()) environment = EnvironmentOf(rank);
    if (!ready.ok() || !environment.ok()) {
      const absl::Status& why = ready.ok() ? environment.status() : ready;
      spdlog::error("rank {}: {}", rank, std::string(why.message()));
      attempt_.NotSpawned(rank, std::string(why.message()), UnixUs());
      continue;
    }
    RankProcess::Setup setup;
    setup.rank = rank;
    setup.folder = folder_;
    setup.log_folder = fmt::format("{}/{}", launch_.order.log_dir(), rank);
    setup.log_bytes_max = launch_.order.log_bytes_max();
    setup.command = CommandOf(launch_, folder_);
    setup.environment = *std::move(environment);
    auto process = RankProcess::Spawn(
        setup, &loop_, [this, rank](muster_frame_type type, const std::string& body) {
          FromRank(rank, type, body);
        });
    if (!process.ok()) {
      spdlog::error("rank {}: {}", rank, std::string(process.status().message()));
      attempt_.NotSpawned(rank, std::string(process.status().message()), UnixUs());
      continue;
    }
    attempt_.Spawned(rank, (*process)->pid(), MonotonicMs());
    processes_[rank] = *std::move(process);
  }
}

// All that died by now, before anything is done about it: who died first is not our doing.
void Shim::Reap() {
  while (ReapOne()) {
  }
}

bool Shim::ReapOne() {
  siginfo_t info = {};
  if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return false;
  const int pid = info.si_pid;
  for (auto& [rank, process] : processes_) {
    if (process->pid() != pid) continue;
    // While it is a zombie its group's number is still ours.
    process->Signal(SIGKILL);
    process->Forget();
    process->DrainOutput();
    const bool exited = info.si_code == CLD_EXITED;
    attempt_.Exited(rank, exited ? info.si_status : 0, exited ? 0 : info.si_status, UnixUs(),
                    process->LastOutput());
    spdlog::info("rank {} (pid {}): {} {}", rank, pid, exited ? "exit code" : "signal",
                 info.si_status);
    break;
  }
  waitpid(pid, nullptr, WNOHANG);
  return true;
}

void Shim::Act() {
  Reap();
  const Actions actions = attempt_.Decide(MonotonicMs());
  decide_at_ms_ = actions.next_ms;
  for (auto& [rank, process] : processes_) {
    if (actions.raise_stop) process->pages().RaiseStop();
  }
  for (uint32_t rank : actions.terminate) processes_.at(rank)->Signal(SIGTERM);
  for (uint32_t rank : actions.kill) processes_.at(rank)->Signal(SIGKILL);
  if (actions.sweep) Sweep();
}

// Kills what ended ranks left, wherever it hid; done when we have no child any more.
void Shim::Sweep() {
  siginfo_t info = {};
  const bool childless =
      waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD;
  const std::vector<int> marked = ProcessesInScope(scope_);
  if (childless && marked.empty()) {
    for (auto& [rank, process] : processes_) process->DrainOutput();
    attempt_.NoProcessLeft();
    return;
  }
  for (int pid : ChildrenOf(getpid())) kill(pid, SIGKILL);
  for (int pid : marked) kill(pid, SIGKILL);
  decide_at_ms_ = std::min(decide_at_ms_, MonotonicMs() + kSweepEveryMs);
}

void Shim::FromRank(uint32_t rank, muster_frame_type type, const std::string& body) {
  muster_frame_commit commit;
  muster_frame_pruned pruned;
  muster_frame_exchange exchange;
  muster_frame_save_trouble trouble;
  if (type == MUSTER_FRAME_HELLO) {
    Hello(rank, body);
  } else if (type == MUSTER_FRAME_EXCHANGE && Take(body, &exchange) &&
             body.size() - sizeof(exchange) >= exchange.key_size) {
    exchange_.FromRank(rank, exchange.id, body.substr(sizeof(exchange), exchange.key_size),
                       body.substr(sizeof(exchange) + exchange.key_size));
  } else if (type == MUSTER_FRAME_COMMIT_REQUEST && Take(body, &commit)) {
    worker_.Send(commits_.Requested(commit, UnixUs() / 1000));
  } else if (type == MUSTER_FRAME_COMMIT_DONE && Take(body, &commit)) {
    worker_.Send(commits_.Done(commit, UnixUs() / 1000));
  } else if (type == MUSTER_FRAME_PRUNED && Take(body, &pruned)) {
    commits_.Pruned(pruned);
    if (worker_.connected()) {
      for (const v1::ShimToWorker& message : commits_.TakePruned()) worker_.Send(message);
    }
  } else if (type == MUSTER_FRAME_SAVE_TROUBLE && Take(body, &trouble)) {
    if (save_troubles_.Take(rank, trouble, body.substr(sizeof(trouble)))) Report();
  } else {
    spdlog::warn("rank {}: a frame of type {} with {} bytes that makes no sense", rank,
                 static_cast<int>(type), body.size());
  }
}

void Shim::Hello(uint32_t rank, const std::string& body) {
  muster_frame_hello hello = {};
  const uint32_t world_size = launch_.world_size;
  absl::StatusOr<std::string> reply = std::string();
  if (!Take(body, &hello) || hello.rank != rank || hello.world_size != world_size) {
    reply = InvalidArgument(
        "rank {} of {} takes itself for rank {} of {}: it has not found its peers; is its MPI the "
        "Open MPI this worker hosts?",
        rank, world_size, hello.rank, hello.world_size);
    spdlog::error("{}", std::string(reply.status().message()));
  } else {
    attempt_.SaidHello(rank);
  }
  ReplyToRank(rank, MUSTER_FRAME_HELLO_REPLY, 0, reply);
}

void Shim::ReplyToRank(uint32_t rank, muster_frame_type type, uint32_t id,
                       const absl::StatusOr<std::string>& bytes) {
  const auto found = processes_.find(rank);
  if (found == processes_.end()) return;
  muster_frame_reply reply = {};
  reply.id = id;
  if (!bytes.ok()) reply.error = absl::IsInvalidArgument(bytes.status()) ? -EINVAL : -EIO;
  found->second->channel().Send(
      type, BytesOf(reply) + (bytes.ok() ? *bytes : std::string(bytes.status().message())));
}

void Shim::FromWorker(const v1::WorkerToShim& message) {
  switch (message.message_case()) {
    case v1::WorkerToShim::kStop:
      spdlog::info("stop ordered, grace {} ms: {}", message.stop().grace_ms(),
                   message.stop().reason());
      attempt_.StopOrdered(message.stop().grace_ms(), MonotonicMs());
      break;
    case v1::WorkerToShim::kExchangeResult:
      exchange_.Result(message.exchange_result());
      break;
    case v1::WorkerToShim::kCommitReply: {
      const v1::CommitReply& reply = message.commit_reply();
      const auto rank_0 = processes_.find(0);
      if (!commits_.Answered(reply) || rank_0 == processes_.end()) break;
      muster_frame_answer answer = {};
      answer.step = reply.step();
      answer.answer = reply.permitted() ? MUSTER_COMMIT_PERMITTED : MUSTER_COMMIT_REFUSED;
      rank_0->second->channel().Send(MUSTER_FRAME_COMMIT_ANSWER, BytesOf(answer) + reply.reason());
      break;
    }
    case v1::WorkerToShim::kCommitAck:
      commits_.Acknowledged(message.commit_ack());
      break;
    case v1::WorkerToShim::kSave:
      SaveOrdered(message.save().save());
      break;
    case v1::WorkerToShim::kExit:
      EndSoon("released by the worker");
      break;
    case v1::WorkerToShim::MESSAGE_NOT_SET:
      spdlog::warn("the worker sent a message of a kind this shim does not know");
      break;
  }
}

void Shim::SaveOrdered(uint64_t save) {
  if (save > save_) {
    save_ = save;
    spdlog::info("save ordered, order {}", save);
    for (auto& [rank, process] : processes_) process->pages().RaiseSave(save);
  }
  Report();
}

void Shim::WorkerCame() {
  orphan_at_ms_ = kNever;
  Report();
  for (const v1::ShimToWorker& message : exchange_.ToTellAgain()) worker_.Send(message);
  for (const v1::ShimToWorker& message : commits_.Unsettled()) worker_.Send(message);
  for (const v1::ShimToWorker& message : commits_.TakePruned()) worker_.Send(message);
}

void Shim::Report() {
  v1::ShimToWorker message;
  v1::AttemptReport* report = message.mutable_report();
  *report = attempt_.Report();
  attempt_.AddSilence(MonotonicMs(), report);
  report->set_report(++reports_);
  report->set_save(save_);
  for (v1::RankReport& rank : *report->mutable_ranks()) {
    const auto found = processes_.find(rank.rank());
    if (found == processes_.end()) continue;
    *rank.mutable_progress() = found->second->pages().Read();
    save_troubles_.AddTo(&rank);
    if (rank.rank() == 0) {
      milestones_.Take(rank.progress());
      rank.set_milestones(milestones_.reached());
    }
    if (rank.state() == v1::RANK_STATE_EXITED) {
      found->second->pages().AddLastCollective(MonotonicMs() * 1'000'000, &rank);
    }
    if (rank.state() == v1::RANK_STATE_RUNNING) {
      found->second->pages().AddStillness(MonotonicMs() * 1'000'000, &rank);
    }
    if (rank.still_ms() > 0) rank.set_process_state(ProcessState(static_cast<int>(rank.pid())));
  }
  worker_.Send(message);
  report_at_ms_ = MonotonicMs() + kReportEveryMs;
  if (reported_revision_ == attempt_.revision()) return;
  reported_revision_ = attempt_.revision();
  const absl::Status written =
      ReplaceFile(folder_ + "/" + kReportFile, report->SerializeAsString());
  if (!written.ok()) spdlog::warn("{}", std::string(written.message()));
}

void Shim::ReportIfChanged() {
  if (reported_revision_ != attempt_.revision()) Report();
}

bool Shim::LooksForMilestones() const {
  return worker_.connected() && milestones_.looking() && !ending_ && !attempt_.Stopped() &&
         processes_.count(0) > 0;
}

void Shim::LookForMilestones() {
  const int64_t now_ms = MonotonicMs();
  if (now_ms < look_at_ms_ || !LooksForMilestones()) return;
  look_at_ms_ = now_ms + kLookEveryMs;
  if (milestones_.Take(processes_.at(0)->pages().Read())) Report();
}

void Shim::EndSoon(const std::string& why) {
  if (!ending_) spdlog::info("ending: {}", why);
  ending_ = true;
  attempt_.StopOrdered(0, MonotonicMs());
}

int64_t Shim::NextDeadline() const {
  int64_t deadline_ms = decide_at_ms_;
  if (worker_.connected()) deadline_ms = std::min(deadline_ms, report_at_ms_);
  if (LooksForMilestones()) deadline_ms = std::min(deadline_ms, look_at_ms_);
  if (!ending_) deadline_ms = std::min(deadline_ms, orphan_at_ms_);
  return deadline_ms;
}

absl::Status Shim::RemoveTraces() {
  absl::Status status;
  for (const std::string& path : {facts_.memory_folder, facts_.temp_folder,
                                  folder_ + "/" + kPmixFolder, folder_ + "/" + kSocketFile}) {
    std::error_code error;
    std::filesystem::remove_all(path, error);
    if (error && status.ok()) status = ErrnoError(error.value(), "remove " + path);
  }
  return status;
}

}  // namespace muster::worker::shim
