#include "worker/shim/rank_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "common/status.h"
#include "worker/shim/folder.h"

namespace muster::worker::shim {
namespace {

constexpr int kPipeBytes = 1 << 20;         // room while the shim is busy
constexpr int kExecTimeoutMs = 20000;       // a program on a dead network file system
constexpr size_t kDrainBytesMax = 4 << 20;  // from one stream in one go

// Descriptors that are closed unless taken.
class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  ~Fd() { Reset(); }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }
  int Take() { return std::exchange(fd_, -1); }
  void Reset(int fd = -1) {
    if (fd_ >= 0) close(fd_);
    fd_ = fd;
  }

 private:
  int fd_;
};

bool MakePipe(Fd* read_end, Fd* write_end) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return false;
  read_end->Reset(ends[0]);
  write_end->Reset(ends[1]);
  return true;
}

// What went wrong between fork and exec.
struct Failure {
  int where;  // 1 = working directory, 2 = exec
  int error;
};

struct Child {
  const char* program;
  char* const* arguments;
  char* const* environment;
  const char* working_dir;
  int shim;
  int in, out, err, link, pages, go, failure;
};

// Between fork and exec in a process with threads: nothing that allocates or locks.
[[noreturn]] void BecomeRank(const Child& child) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != child.shim) _exit(126);
  setpgid(0, 0);
  // Runs only once it is recorded, so that no shim's death can lose it.
  char go = 0;
  while (read(child.go, &go, 1) < 0 && errno == EINTR) {
  }
  if (go == 0) _exit(126);
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction action = {};
    action.sa_handler = SIG_DFL;
    sigaction(signal, &action, nullptr);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  dup2(child.in, 0);
  dup2(child.out, 1);
  dup2(child.err, 2);
  close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
  fcntl(child.link, F_SETFD, 0);
  fcntl(child.pages, F_SETFD, 0);
  Failure failure = {1, 0};
  if (chdir(child.working_dir) == 0) {
    failure.where = 2;
    execve(child.program, child.arguments, child.environment);
  }
  failure.error = errno;
  const ssize_t written = write(child.failure, &failure, sizeof(failure));
  _exit(written == sizeof(failure) ? 127 : 126);
}

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& text : strings) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

absl::Status ExplainFailure(const Failure& failure, const std::string& program,
                            const std::string& working_dir) {
  if (failure.where == 1) {
    return ErrnoError(failure.error,
                      "cannot start rank program " + program + ": its working directory " +
                          working_dir +
                          " cannot be entered on this node; check working_dir in the job file");
  }
  const char* what_to_do = "check that it can be run on this node";
  if (failure.error == ENOENT) {
    what_to_do = "check that it, and the interpreter in its first line, exist on this node";
  } else if (failure.error == EACCES) {
    what_to_do = "check that it is executable (chmod +x) for the worker's user";
  } else if (failure.error == ENOEXEC) {
    what_to_do = "check that it is a program for this machine, or a script that begins with #!";
  }
  const absl::Status status = ErrnoError(failure.error, "cannot start rank program " + program);
  return absl::Status(status.code(),
                      fmt::format("{}; {}", std::string(status.message()), what_to_do));
}

}  // namespace

absl::StatusOr<std::unique_ptr<RankProcess>> RankProcess::Spawn(const Setup& setup, Loop* loop,
                                                                RankChannel::Received received) {
  std::unique_ptr<RankProcess> rank(new RankProcess(loop));
  if (setup.command.arguments.empty() || setup.command.arguments[0].empty()) {
    return InvalidArgument("cannot start rank {}: the job has no command; set program.command",
                           setup.rank);
  }
  MUSTER_RETURN_IF_ERROR(MakeFolders(setup.log_folder));
  rank->files_[0] =
      std::make_unique<LogFile>(setup.log_folder + "/stdout.log", setup.log_bytes_max);
  rank->files_[1] =
      std::make_unique<LogFile>(setup.log_folder + "/stderr.log", setup.log_bytes_max);
  MUSTER_ASSIGN_OR_RETURN(rank->pages_, RankPages::Create());
  int link[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, link) != 0) {
    return ErrnoError(errno, "open the link of a rank");
  }
  const Fd rank_end(link[1]);
  rank->channel_ = std::make_unique<RankChannel>(loop, link[0], std::move(received));
  Setup with_link = setup;
  with_link.environment = launch::Merge({setup.environment,
                                         {fmt::format("MUSTER_LINK_FD={}", rank_end.get()),
                                          fmt::format("MUSTER_PAGES_FD={}", rank->pages_->fd())}});
  MUSTER_RETURN_IF_ERROR(rank->Start(with_link, rank_end.get()));
  return rank;
}

absl::Status RankProcess::Start(const Setup& setup, int link) {
  const std::string program = FindProgram(setup.command.arguments[0], setup.environment);
  const std::string cannot = "cannot start rank program " + program;
  Fd out_read, out_write, err_read, err_write, go_read, go_write, failure_read, failure_write;
  const Fd in(open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (in.get() < 0 || !MakePipe(&out_read, &out_write) || !MakePipe(&err_read, &err_write) ||
      !MakePipe(&go_read, &go_write) || !MakePipe(&failure_read, &failure_write)) {
    return ErrnoError(errno, cannot + ": open its pipes");
  }
  const std::vector<char*> arguments = Pointers(setup.command.arguments);
  const std::vector<char*> environment = Pointers(setup.environment);
  const Child child = {program.c_str(),
                       arguments.data(),
                       environment.data(),
                       setup.command.working_dir.c_str(),
                       getpid(),
                       in.get(),
                       out_write.get(),
                       err_write.get(),
                       link,
                       pages_->fd(),
                       go_read.get(),
                       failure_write.get()};
  const int pid = fork();
  if (pid == 0) BecomeRank(child);
  if (pid < 0) return ErrnoError(errno, cannot + ": fork");
  setpgid(pid, pid);  // both sides do it: neither may be late
  go_read.Reset();
  failure_write.Reset();
  const absl::Status recorded =
      RecordProcess(setup.folder, pid, fmt::format("rank {}", setup.rank));
  const bool told = recorded.ok() && write(go_write.get(), "g", 1) == 1;
  go_write.Reset();

  Failure failure = {0, 0};
  pollfd ready = {failure_read.get(), POLLIN, 0};
  ssize_t got = 0;
  if (told && poll(&ready, 1, kExecTimeoutMs) > 0) {
    got = read(failure_read.get(), &failure, sizeof(failure));
  }
  if (!told || got == sizeof(failure)) {
    kill(pid, SIGKILL);
    while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    if (!told) return Annotate(recorded, cannot);
    return ExplainFailure(failure, program, setup.command.working_dir);
  }
  pid_ = group_ = pid;
  streams_[0] = out_read.Take();
  streams_[1] = err_read.Take();
  for (size_t stream = 0; stream < 2; ++stream) {
    fcntl(streams_[stream], F_SETPIPE_SZ, kPipeBytes);  // as much as the system allows
    fcntl(streams_[stream], F_SETFL, O_NONBLOCK);
    MUSTER_RETURN_IF_ERROR(loop_->Watch(streams_[stream], EPOLLIN, [this, stream](uint32_t) {
      if (!DrainStream(stream)) CloseStream(stream);
    }));
  }
  return absl::OkStatus();
}

RankProcess::~RankProcess() {
  CloseStream(0);
  CloseStream(1);
}

void RankProcess::Signal(int signal) {
  if (group_ > 0) kill(-group_, signal);
}

bool RankProcess::DrainStream(size_t stream) {
  char block[65536];
  for (size_t total = 0; total < kDrainBytesMax;) {
    const ssize_t got = read(streams_[stream], block, sizeof(block));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return true;
    if (got <= 0) return false;
    files_[stream]->Append(block, static_cast<size_t>(got));
    last_lines_.Add(stream, block, static_cast<size_t>(got));
    total += static_cast<size_t>(got);
  }
  return true;
}

void RankProcess::CloseStream(size_t stream) {
  if (streams_[stream] < 0) return;
  loop_->Unwatch(streams_[stream]);
  close(streams_[stream]);
  streams_[stream] = -1;
}

void RankProcess::DrainOutput() {
  for (size_t stream = 0; stream < 2; ++stream) {
    if (streams_[stream] >= 0 && !DrainStream(stream)) CloseStream(stream);
  }
}

}  // namespace muster::worker::shim
